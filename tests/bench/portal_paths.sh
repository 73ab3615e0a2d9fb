#!/bin/bash
# Every page and every answer of the API that can be read without changing anything, each with what makes it most work: portal_paths.sh FILE, which is
# what `portal_fill … wide` printed. A line for each path; those of the API begin with "api ".
declare -A a
while read -r word thing id; do [ "$word" = a ] && a[$thing]=$id; done <"$1"
b=/bench

# lists: as they are, sorted by each head both ways, filtered, looked through
list() { # list PATH SORTS FILTERS...
	local path=$1 sort dir
	echo "$b/$path"
	for sort in $2; do
		for dir in asc desc; do echo "$b/$path?sort=$sort&dir=$dir"; done
	done
	for sort in "${@:3}"; do echo "$b/$path?$sort"; done
}
words="q=a q=an q=app q=client q=zebra q=person-777 q=person+client q=nothing-like-it q=site q=group"
list overview ""
list sites "name inserted_at" $words
list resources "name address inserted_at" $words "site=${a[site]}" "site=${a[site]}&q=app"
list policies "inserted_at updated_at" $words "site=${a[site]}" "site=${a[site]}&q=app" status=active status=disabled "resource=${a[resource]}" \
	"group=${a[group]}"
list clients "name last_seen_at inserted_at" $words verified=verified verified=unverified online=yes online=no "online=no&q=zebra" "online=yes&q=client" \
	"q=zebra&sort=name&dir=asc" "q=zebra&sort=name&dir=desc" "q=zebra&sort=inserted_at&dir=desc" "q=client+zebra&sort=name&dir=desc" \
	"q=zebra&verified=unverified&sort=name&dir=desc"
list actors "name email type updated_at inserted_at" $words type=account_user type=api_client status=active status=disabled "type=account_user&q=person" \
	"q=names" "sort=name&q=names"
list groups "name inserted_at updated_at" $words q=team
list "groups/${a[group]}" "name email" $words "actor=${a[actor]}"
list "sites/${a[site]}/gateways" "name last_seen_at" $words
list settings/api_clients "name" $words
list activity "" $words kind=actor kind=site op=update op=delete "kind=actor&op=delete" "kind=actor&q=names" "q=names+999" "from=2020-01-01&to=2020-02-01" \
	"actor=${a[actor]}" "id=${a[actor]}" "q=nothing-like-it&kind=site"
list activity/export "" kind=actor q=names q=nothing-like-it
for path in activity/traffic relays why "why?client=${a[client]}" "why?resource=${a[resource]}" "why?client=${a[client]}&resource=${a[resource]}" \
	"why?find-client=zebra" "why?find-client=client&find-resource=app" \
	"sites/new" "sites/${a[site]}" "sites/${a[site]}/edit" "sites/${a[site]}/delete" "sites/${a[site]}/new_token" \
	"gateways/${a[gateway]}" "gateways/${a[gateway]}/delete" \
	resources/new "resources/new?site=${a[site]}" "resources/new?find-site=site" "resources/${a[resource]}" "resources/${a[resource]}/edit" \
	"resources/${a[resource]}/delete" "resources/${a[pool]}" "resources/${a[pool]}/edit" "resources/${a[pool]}/delete" \
	policies/new "policies/new?group=${a[group]}&resource=${a[resource]}" "policies/new?find-group=team&find-resource=app" \
	"policies/${a[policy]}" "policies/${a[policy]}/edit" "policies/${a[policy]}/delete" \
	"clients/${a[client]}" "clients/${a[client]}/edit" "clients/${a[client]}/delete" \
	actors/new "actors/${a[actor]}" "actors/${a[actor]}/edit" "actors/${a[actor]}/delete" \
	groups/new "groups/${a[group]}/edit" "groups/${a[group]}/delete" \
	settings/security settings/account settings/account/edit settings/dns settings/mail settings/api_clients/new \
	"settings/api_clients/${a[robot]}" "settings/api_clients/${a[robot]}/edit" "settings/api_clients/${a[robot]}/delete" \
	settings/directory_sync settings/directory_sync/google/new settings/directory_sync/entra/new settings/directory_sync/okta/new \
	settings/authentication settings/authentication/select_type settings/authentication/oidc/new \
	sign_in/client_auth_error; do
	echo "$b/$path"
done
for word in $words q=team q=10 q=e "q=e&fragment=1" "q=client&fragment=1" "q=person&fragment=1" "q=zebra&fragment=1" "q=app+777&fragment=1"; do echo "$b/search?$word"; done
echo "$b"
echo /
echo /readyz
echo /healthz
echo /metrics

for path in openapi swaggerui account sites "sites/${a[site]}" "sites/${a[site]}/gateways" "sites/${a[site]}/gateways/${a[gateway]}" \
	"sites/${a[site]}/gateway_tokens" resources "resources?site_id=${a[site]}" "resources?name=application+999" "resources/${a[resource]}" "resources/${a[pool]}" \
	"resources/${a[pool]}/pool_members" policies "policies?group_id=${a[group]}" "policies/${a[policy]}" groups "groups?name=team+999" "groups/${a[group]}" \
	"groups/${a[group]}/memberships" actors "actors?name=Person+999" "actors?email=person-999@bench.example" "actors?type=account_user" "actors/${a[actor]}" \
	"actors/${a[actor]}/external_identities" \
	"actors/${a[actor]}/client_tokens" clients "clients?actor_id=${a[actor]}" "clients?name=client+9000" "clients/${a[client]}" client_sessions \
	"client_sessions?client_id=${a[client]}" gateway_sessions "gateway_sessions?gateway_id=${a[gateway]}" \
	email_otp_auth_providers userpass_auth_providers oidc_auth_providers google_auth_providers entra_auth_providers okta_auth_providers \
	google_directories entra_directories okta_directories; do
	echo "api /$path"
	case $path in
	*\?*) echo "api /$path&limit=100" ;;
	*/*-*) [[ $path == */*/* ]] && echo "api /$path?limit=100" ;;
	*) echo "api /$path?limit=100" ;;
	esac
done
