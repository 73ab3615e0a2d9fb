#!/bin/bash
# What leaves a portal comes back: export and import, dumps and the REST API of another portal, backup while serving, restore.
# packages: curl:curl python3:python3
# timeout: 600
. "$(dirname "$0")/../lib.sh"
cd "$ROOT" || exit
"$EMBERBOX" --help | grep -qE '^ +portal( |$)' || { skip portal_transfer "no portal in this build" && finish; }
PREFIX=portal_transfer_
CHECK_LINES=30
W=$work
port=$(free_port)

a() { "$EMBERBOX" portal --dir "$W/a" "$@" 2>>"$W/commands.log"; }
b() { "$EMBERBOX" portal --dir "$W/b" "$@" 2>>"$W/commands.log"; }
c() { "$EMBERBOX" portal --dir "$W/c" "$@" 2>>"$W/commands.log"; }
serve() { # serve LETTER
	launch portal "$EMBERBOX" portal --dir "$W/$1" serve --listen "127.0.0.1:$port" --api-url "http://127.0.0.1:$port/" --api-refill-rate 0 --mail none &&
		wait_log portal 'portal is ready'
}

{
	a init && a account add --name Acme --admin-email jo@acme.example && a site add --name Berlin &&
		a resource add --site Berlin --address 10.9.0.0/24 --name lab --filter tcp:22,80-90 --filter icmp && a group add --name Makers &&
		a actor add --email sam@acme.example --name Sam && a actor add --type service-account --name bot && a actor add --email eve@acme.example --name Eve &&
		a member add --group Makers --actor sam@acme.example && a policy add --group Everyone --resource Internet && a actor disable eve@acme.example &&
		a policy add --group Makers --resource lab --condition 'remote_ip is_in_cidr 198.51.100.0/24' && a pool add --name Printers && a policy add --group Makers --resource Printers --disabled
	b init && b account add --name Other --admin-email jo@acme.example
	c init && c account add --name Third --admin-email jo@acme.example
} >"$W/setup" || fail setup "$W/commands.log"

same() { # same FILE FILE: apart from ids and times
	python3 - "$1" "$2" <<-'END'
		import json, sys
		def known(path):
		    d = json.load(open(path))
		    names = {x["id"]: x["name"] for k in ("actors", "groups", "sites", "resources") for x in d[k]}
		    names.update({x["id"]: x["email"] for x in d["actors"] if x["email"]})
		    return {
		        "actors": sorted((x["email"] or x["name"], x["type"], bool(x["disabled_at"])) for x in d["actors"]),
		        "groups": sorted(x["name"] for x in d["groups"]), "sites": sorted(x["name"] for x in d["sites"]),
		        "memberships": sorted((names[x["group_id"]], names[x["actor_id"]]) for x in d["memberships"]),
		        "resources": sorted((x["name"], x["type"], x["address"] or "", x["filters"] or "", names.get(x["site_id"], "")) for x in d["resources"]),
		        "policies": sorted((names[x["group_id"]], names[x["resource_id"]], x["conditions"] or "", bool(x["disabled_at"])) for x in d["policies"]),
		    }
		one, two = known(sys.argv[1]), known(sys.argv[2])
		for k in one:
		    if one[k] != two[k]:
		        print(k, one[k], two[k]); sys.exit(1)
	END
}

exported_and_imported() {
	a export >"$W/a.json" || return
	! grep -qE 'secret|psk|hash' "$W/a.json" || { echo "a secret in it"; return 1; }
	b import --dry-run "$W/a.json" | tail -n 1 | grep -q 'would be added' || return
	b export >"$W/b0.json" && ! same "$W/a.json" "$W/b0.json" >/dev/null || { echo "the rehearsal changed something"; return 1; }
	b import "$W/a.json" && b export >"$W/b.json" && same "$W/a.json" "$W/b.json" || return
	b import "$W/a.json" | tail -n 1 | grep -q '^0 added' || { echo "the second time added something"; return 1; }
}
check exported_and_imported exported_and_imported

fetched_from_an_api() {
	local rc=0
	a api-client add --name mover >/dev/null && a api-token add --actor mover --name t --json | sed -n 's/.*"token":"\([^"]*\)".*/\1/p' >"$W/token" || return
	serve a || return
	c import --from-api "http://127.0.0.1:$port/" --api-token-file "$W/token" && echo nonsense >"$W/bad" &&
		! c import --from-api "http://127.0.0.1:$port" --api-token-file "$W/bad" || rc=1
	stop portal
	[ $rc = 0 ] && a api-client delete mover && c api-client delete mover; c export >"$W/c.json" && a export >"$W/a.json" && same "$W/a.json" "$W/c.json"
}
check fetched_from_an_api fetched_from_an_api

# Another portal's API as its documents describe it: two elements a page, cursors that need encoding, a 429 in between, neither site nor filters of a
# resource, a policy's group by id.
imitate() {
	cat >"$W/imitation.py" <<-'END'
		import json, sys, urllib.parse
		from http.server import BaseHTTPRequestHandler, HTTPServer
		lists = {
		    "/actors": [{"id": f"a{i}", "type": "account_user", "name": f"Person {i}", "email": f"p{i}@b\u00fccher.example"} for i in range(5)]
		        + [{"id": "a9", "type": "service_account", "name": "robot", "email": None}],
		    "/sites": [{"id": f"s{i}", "name": f"Site {i}"} for i in range(3)],
		    "/groups": [{"id": "g0", "name": "Everyone"}, {"id": "g1", "name": "Readers"}, {"id": "g2", "name": "Writers"}],
		    "/groups/g1/memberships": [{"id": f"a{i}", "name": f"Person {i}", "type": "account_user"} for i in range(5)],
		    "/groups/g2/memberships": [],
		    "/resources": [{"id": f"r{i}", "name": f"host {i}", "type": "dns", "address": f"h{i}.corp.example", "address_description": None, "ip_stack": "ipv4_only"}
		        for i in range(3)],
		    "/policies": [{"id": f"p{i}", "group_id": g, "resource_id": f"r{i}", "description": "why"} for i, g in enumerate(["g0", "g1", "g2"])],
		}
		told = set()
		class H(BaseHTTPRequestHandler):
		    protocol_version = "HTTP/1.1"
		    def log_message(self, *a): pass
		    def answer(self, status, body, **headers):
		        text = json.dumps(body).encode()
		        self.send_response(status)
		        for k, v in {"Content-Type": "application/json", "Content-Length": str(len(text)), **headers}.items():
		            self.send_header(k, v)
		        self.end_headers()
		        self.wfile.write(text)
		    def do_GET(self):
		        u = urllib.parse.urlparse(self.path)
		        q = dict(urllib.parse.parse_qsl(u.query))
		        if self.headers.get("Authorization") != "Bearer t0ken":
		            return self.answer(401, {"error": {"reason": "Unauthorized"}})
		        if u.path not in lists:
		            return self.answer(404, {"error": {"reason": "Not Found"}})
		        if u.path == "/actors" and q.get("page_cursor") and "once" not in told:
		            told.add("once")
		            return self.answer(429, {"error": {"reason": "Too Many Requests"}}, **{"Retry-After": "1"})
		        if sys.argv[2:] == ["broken"] and u.path == "/policies":
		            return self.answer(500, {"error": {"reason": "Internal Server Error"}})
		        at = int(q["page_cursor"].removeprefix("+/=")) if "page_cursor" in q else 0
		        rows, all = lists[u.path][at:at + 2], lists[u.path]
		        more = at + 2 < len(all)
		        self.answer(200, {"data": rows, "metadata": {"count": len(all), "limit": 2, "next_page": f"+/={at + 2}" if more else None, "prev_page": None}})
		HTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()
	END
	launch imitation python3 "$W/imitation.py" "$port" "$@"
	wait_for 300 curl -s "http://127.0.0.1:$port/"
}

fetched_page_by_page() {
	d() { "$EMBERBOX" portal --dir "$W/d" "$@" 2>>"$W/commands.log"; }
	d init && d account add --name Fourth --admin-email jo@acme.example && d site add --name Here && d export >"$W/d0.json" || return
	echo t0ken >"$W/t0ken"
	imitate broken || return
	! d import --from-api "http://127.0.0.1:$port" --api-token-file "$W/t0ken" --site Here || { echo "half of it was taken"; return 1; }
	stop imitation
	d export >"$W/d1.json" && cmp "$W/d0.json" "$W/d1.json" || return
	imitate || return
	d import --from-api "http://127.0.0.1:$port" --api-token-file "$W/t0ken" --site Here | tail -n 1 | grep -q '^22 added' || return
	d export >"$W/d1.json"
	d import --from-api "http://127.0.0.1:$port" --api-token-file "$W/t0ken" --site Here | tail -n 1 | grep -q '^0 added' || return
	stop imitation
	d export >"$W/d2.json" && cmp "$W/d1.json" "$W/d2.json" || { echo "the second time changed something"; return 1; }
	# what that API does not tell is not taken for nothing
	[ "$(d policy list --json | grep -o '"disabled_at":"2' | wc -l)" = 3 ] || { echo "policies of unknown conditions are enabled"; return 1; }
	[ "$(d member list --group Readers | grep -c Person)" = 5 ] && d actor show p3@xn--bcher-kva.example && d resource show 'host 2' | grep -q Here
}
check fetched_page_by_page fetched_page_by_page

# One element that cannot be read, and nothing is changed.
broken_texts() {
	b export >"$W/before.json" || return
	for broken in '[]' '{"actors":{}}' '{"sites":[{"name":"New"}],"actors":[{"name":"X","type":"account_user","email":"no address"}]}' \
		'{"sites":[{"name":"New"},5]}' '{"sites":[{"name":"New"}],"groups":[{"name":""}]}' '{"sites":[{"name":"New"}],"actors":[{"name":"X","type":"king"}]}' \
		'{"sites":[{"name":"New"}],"resources":[{"name":"r","type":"dns","filters":[{"protocol":"tcp","ports":["eighty"]}]}]}' \
		'{"sites":[{"name":"New"}],"policies":[{"conditions":[{"property":"remote_ip","operator":"is_in_cidr"}]}]}' \
		'{"sites":[{"name":"New"}],"memberships":[{"group_id":"g"}]}' '{"sites":[{"name":"New"}]'; do
		echo "$broken" >"$W/broken.json"
		! b import "$W/broken.json" || { echo "taken: $broken"; return 1; }
		b export >"$W/after.json" && cmp "$W/before.json" "$W/after.json" || { echo "changed by: $broken"; return 1; }
	done
}
check broken_texts broken_texts

read_from_a_dump() {
	cat >"$W/dump.sql" <<-'END'
		SET client_encoding = 'UTF8';
		COPY public.accounts (id, name, slug) FROM stdin;
		11111111-1111-4111-8111-111111111111	Acme	acme
		22222222-1111-4111-8111-111111111111	Other	other
		\.
		COPY public.actors (id, "type", account_id, name, email, disabled_at, allow_email_otp_sign_in) FROM stdin;
		aaaaaaaa-0000-4000-8000-000000000001	account_user	11111111-1111-4111-8111-111111111111	Kim \\ Co	kim@acme.example	\N	t
		aaaaaaaa-0000-4000-8000-000000000002	account_user	22222222-1111-4111-8111-111111111111	X	x@other.example	\N	f
		\.
		COPY public.groups (id, type, account_id, name) FROM stdin;
		bbbbbbbb-0000-4000-8000-000000000001	managed	11111111-1111-4111-8111-111111111111	Everyone
		bbbbbbbb-0000-4000-8000-000000000002	static	11111111-1111-4111-8111-111111111111	Dumpers
		\.
		COPY public.memberships (id, account_id, actor_id, group_id) FROM stdin;
		cccccccc-0000-4000-8000-000000000002	11111111-1111-4111-8111-111111111111	aaaaaaaa-0000-4000-8000-000000000001	bbbbbbbb-0000-4000-8000-000000000002
		\.
		COPY public.sites (id, account_id, name, managed_by) FROM stdin;
		dddddddd-0000-4000-8000-000000000002	11111111-1111-4111-8111-111111111111	Hamburg	account
		\.
		COPY public.resources (id, address, name, account_id, filters, type, address_description, site_id, ip_stack) FROM stdin;
		eeeeeeee-0000-4000-8000-000000000002	*.corp.example	corp	11111111-1111-4111-8111-111111111111	[{"ports": ["80", "443 - 444"], "protocol": "tcp"}, {"ports": [], "protocol": "icmp"}]	dns	\N	dddddddd-0000-4000-8000-000000000002	dual
		\.
		COPY public.policies (id, account_id, group_id, resource_id, description, conditions, disabled_at) FROM stdin;
		ffffffff-0000-4000-8000-000000000002	11111111-1111-4111-8111-111111111111	bbbbbbbb-0000-4000-8000-000000000002	eeeeeeee-0000-4000-8000-000000000002	why	{"{\\"values\\": [\\"DE\\", \\"AT\\"], \\"operator\\": \\"is_in\\", \\"property\\": \\"remote_ip_location_region\\"}"}	2025-01-01 00:00:00
		\.
	END
	b import --from-dump "$W/dump.sql" && return 1 # two accounts
	b import --from-dump "$W/dump.sql" --from-account acme | tail -n 1 | grep -q '^6 added' || return
	b member list --group Dumpers | grep -q 'Kim \\ Co' || return
	b resource show corp | grep -q 'tcp:80,443-444 icmp' || return
	b policy list | grep -E 'remote_ip_location_region is_in DE AT +20' || return
	! b actor show x@other.example
}
check read_from_a_dump read_from_a_dump

backed_up_while_serving() {
	serve a || return
	a backup "$W/copy.db" || return
	! a restore "$W/copy.db" || { echo "restored under a serving portal"; return 1; }
	! a backup "$W/copy.db" || { echo "overwrote a copy"; return 1; }
	a site delete Berlin && stop portal && ! a site show Berlin || return
	! a restore "$W/a.json" && ! a restore "$W/none" || return
	a restore "$W/copy.db" && a site show Berlin && [ -e "$W/a/portal.db.before-restore" ] && a export >"$W/again.json" && same "$W/a.json" "$W/again.json"
}
check backed_up_while_serving backed_up_while_serving

restored_elsewhere() {
	mkdir -p "$W/elsewhere" || return
	! "$EMBERBOX" portal restore --dir "$W/elsewhere" "$W/copy.db" 2>"$W/why" && grep -q 'elsewhere/secrets: there is none: copy' "$W/why" || return
	cp -p "$W/a/secrets" "$W/elsewhere/secrets" && "$EMBERBOX" portal restore --dir "$W/elsewhere" "$W/copy.db" || return
	"$EMBERBOX" portal export --dir "$W/elsewhere" >"$W/there.json" && same "$W/a.json" "$W/there.json"
}
check restored_elsewhere restored_elsewhere

# What an import would meet is met by its rehearsal, name for name, also while the portal serves; and nothing is changed.
clashes_are_told_before() {
	aloud() { "$EMBERBOX" portal --dir "$W/b" "$@"; }
	cat >"$W/clash.json" <<-'END'
		{"groups":[{"id":"g1","name":"Twice"},{"id":"g2","name":"Twice"},{"id":"g3","name":"New"}],
		 "actors":[{"id":"a1","name":"Ann","type":"account_user","email":"ann@acme.example"},{"id":"a2","name":"Ann too","type":"account_user","email":"ANN@acme.example"}],
		 "memberships":[{"group_id":"g3","actor_id":"a1"}],
		 "sites":[{"id":"s1","name":"Oslo"}],
		 "resources":[{"id":"r1","name":"db","type":"ip","address":"10.1.2.3","site_id":"s1"},{"id":"r2","name":"db","type":"ip","address":"10.1.2.4","site_id":"s1"},
		              {"id":"r3","name":"bad","type":"cidr","address":"10.9.8.7.6/8","site_id":"s1"}],
		 "policies":[{"id":"p1","group_id":"g3","resource_id":"r1"},{"id":"p2","group_id":"g3","resource_id":"r3"}]}
	END
	b export >"$W/before.json" || return
	! aloud import --dry-run "$W/clash.json" >"$W/dry" 2>"$W/why" || { echo "all would be well"; return 1; }
	serve b || return
	! aloud import --dry-run "$W/clash.json" >"$W/dry2" 2>"$W/why2" || { echo "all would be well while it serves"; return 1; }
	stop portal
	cmp "$W/dry" "$W/dry2" && cmp "$W/why" "$W/why2" || return
	b export >"$W/after.json" && cmp "$W/before.json" "$W/after.json" && ! ls -d "$W"/b/rehearsal* 2>/dev/null || { echo "the rehearsal left something"; return 1; }
	! aloud import "$W/clash.json" >"$W/real" 2>"$W/why3" || return
	diff <(sed -e 's/^would fail: /not done: /' -e 's/^would: //' -e 's/would be //' "$W/dry") "$W/real" && cmp "$W/why" "$W/why3" || return
	grep -q "would fail: group 'Twice'" "$W/dry" && grep -q "would fail: resource 'bad'" "$W/dry" && grep -q "already a group 'Twice'" "$W/why"
}
check clashes_are_told_before clashes_are_told_before

not_rehearsed() {
	! "$EMBERBOX" portal --dir "$W/nowhere" import --dry-run "$W/a.json" 2>"$W/why" && grep -q 'there is no portal in .*nowhere: make one' "$W/why" || return
	[ "$(id -u)" = 0 ] || { chmod 500 "$W/b"; ! b import --dry-run "$W/a.json"; chmod 700 "$W/b"; grep -q 'cannot make .*rehearsal-.*Permission denied' "$W/commands.log"; }
}
check not_rehearsed not_rehearsed

# says FILE PATTERN: an import of that file fails and says so
says() { ! "$EMBERBOX" portal --dir "$W/b" import "$1" 2>"$W/why" || return; grep -q "$2" "$W/why" || { cat "$W/why"; return 1; }; }
not_imported() {
	echo '{}' >"$W/empty.json" && echo '{"version":2,"sites":[]}' >"$W/newer.json" && head -c 300 "$W/a.json" >"$W/cut.json" || return
	says "$W/empty.json" 'empty.json is no export: it has none of actors' && says "$W/newer.json" 'a newer emberbox wrote it' || return
	says "$W/cut.json" 'cut.json is no export: it is not JSON, or cut off' && says "$W/none.json" 'cannot read .*none.json: No such file'
}
check not_imported not_imported
finish
