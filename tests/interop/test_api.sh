#!/bin/bash
# The REST API against schemathesis, which makes requests from our OpenAPI document, good and bad ones, and compares the answers with it
# (spec 60 §10): no 5xx, no status, type or body that the document does not know.
#
# packages: python3:python3 /usr/lib/python3*/ensurepip/__init__.py:python3-venv curl:curl
# timeout: 1200
# lasts: 60
#
# schemathesis comes from the Python package index, once, into $SCHEMATHESIS_VENV (default build/interop/schemathesis); where it cannot be
# had, the test is skipped. All traffic stays on loopback.
. "$(dirname "$0")/lib.sh"
venv=${SCHEMATHESIS_VENV:-$ROOT/build/interop/schemathesis}
port=$(free_port)
examples=${EXAMPLES:-12}
# all but positive_data_acceptance: what the document cannot say (an address must be one of a network, a name free) is refused with 422
checks=${CHECKS:-not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance}
checks=$checks,unsupported_method,negative_data_rejection,use_after_free,ensure_resource_availability,ignored_auth,missing_required_header
CHECK_LINES=60

python_package "$venv" schemathesis 'schemathesis>=4,<5' || { skip api_schemathesis "the package cannot be fetched" && finish; }

{
	portal init && portal account add --name Acme --admin-email jo@acme.example &&
		portal site add --name Berlin && portal resource add --site Berlin --address 10.9.0.0/24 --name lab --filter tcp:22,80-90 &&
		portal group add --name Makers && portal actor add --email sam@acme.example --name Sam &&
		portal member add --group Makers --actor sam@acme.example &&
		portal policy add --group Makers --resource lab --condition 'remote_ip is_in_cidr 198.51.100.0/24' &&
		portal api-client add --name schemathesis
} >"$work/setup" 2>&1 || fail api_setup "$work/setup"
token=$(portal api-token add --actor schemathesis --name test --json | field token)
must serve_portal --api-url "http://127.0.0.1:$port/" --api-refill-rate 0 --web-refill-rate 0 --mail none

curl -s "http://127.0.0.1:$port/openapi" >"$work/openapi.json"
# If-Match may have failed before a value is looked at: 412 is a refusal too
echo 'checks.negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 415, 422, 428, 429, "5xx"]' >"$work/schemathesis.toml"
cd "$work" # it leaves a folder where it runs
HOME=$work "$venv/bin/st" run "$work/openapi.json" --url "http://127.0.0.1:$port" -H "Authorization: Bearer $token" \
	--checks "$checks" \
	--phases examples,coverage,fuzzing,stateful --max-examples "$examples" --seed 60 --no-color --generation-database none --suppress-health-check all \
	--request-timeout 20 >"$work/log" 2>&1
verdict api_schemathesis $? "$work/log"
check api_portal_lives is_alive "${PIDS[portal]}"
finish
