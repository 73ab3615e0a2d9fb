#!/bin/bash
# The portal's promises to its operator: what was acknowledged stays (kill -9 at any instant, disk full), verbs work while it serves and while
# it does not, and whatever cannot be done is named.
# needs: root
# packages: ip:iproute2 curl:curl python3:python3
# timeout: 600
# lasts: 20
. "$(dirname "$0")/lib.sh"
must place portal

DIR=$E2E/state
PORTAL="$EMBERBOX portal --dir $DIR"
ROUNDS=${ROUNDS:-12}

must $PORTAL init >/dev/null
must $PORTAL account add --name Acme --admin-email jo@acme.example >/dev/null

serve() { # serve [OPTIONS]
	start portal portal "$EMBERBOX" portal --dir "$DIR" serve --listen 127.0.0.1:13001 "$@" && wait_log portal 'portal is ready' 30
}

# ---- kill -9 ----------------------------------------------------------------------------------------------------------------

# Adds sites until it is told no, and writes down each that was acknowledged.
writer() { # writer NAME
	local i=0
	while $PORTAL site add --name "$1-$i" >/dev/null 2>&1; do
		echo "$1-$i" >>"$E2E/acknowledged"
		i=$((i + 1))
	done
}

all_acknowledged() {
	$PORTAL site list --json >"$E2E/sites.json" || return
	python3 - "$E2E/acknowledged" "$E2E/sites.json" <<-'END'
		import json, sys
		want = set(open(sys.argv[1]).read().split())
		have = {s["name"] for s in json.load(open(sys.argv[2]))}
		missing = want - have
		print(len(want), "acknowledged,", len(missing), "missing", sorted(missing)[:5])
		sys.exit(1 if missing else 0)
	END
}

killed_while_serving() {
	local round pid
	: >"$E2E/acknowledged"
	# a round may be over before anything was written; all of them together are not, on a slow machine there are more of them
	for ((round = 0; round < ROUNDS || round < 10 * ROUNDS && $(wc -l <"$E2E/acknowledged") < 10; round++)); do
		serve || return
		writer "a$round" & local a=$!
		writer "b$round" & local b=$!
		sleep "0.$((RANDOM % 5))$((RANDOM % 10))"
		kill -9 "${PIDS[portal]}"
		wait "${PIDS[portal]}" 2>/dev/null
		unset "PIDS[portal]"
		# a writer that finds nobody serving runs the verb itself: kill that too, whatever it is doing
		sleep "0.0$((RANDOM % 10))"
		for pid in "$a" "$b"; do pkill -9 -P "$pid" 2>/dev/null; kill -9 "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; done
		all_acknowledged || return
	done
	[ "$(wc -l <"$E2E/acknowledged")" -ge 10 ]
}
check kill_9_loses_no_acknowledged_write killed_while_serving

# ---- verbs with and without a serving portal ----------------------------------------------------------------------------------

works_both_ways() {
	$PORTAL group add --name before >/dev/null && serve && $PORTAL group add --name while >/dev/null &&
		$PORTAL status show | grep -q clients && stop portal && $PORTAL group list | grep -q before && $PORTAL group list | grep -q while
}
check verbs_work_while_it_serves_and_while_not works_both_ways

many_at_once() {
	local i pids=()
	for i in 1 2 3 4 5 6; do $PORTAL group add --name "many$i" >/dev/null & pids+=($!); done
	for i in "${pids[@]}"; do wait "$i" || return; done
	[ "$($PORTAL group list | grep -c many)" = 6 ]
}
check verbs_without_a_serving_portal_wait_for_each_other many_at_once

# ---- what cannot be done is named ------------------------------------------------------------------------------------------------

# fails STATUS PATTERN CMD…
fails() {
	local status=$1 pattern=$2 rc
	shift 2
	"$@" >"$E2E/out" 2>"$E2E/err"
	rc=$?
	[ $rc = "$status" ] && grep -qE -- "$pattern" "$E2E/err" || {
		echo "status $rc, wanted $status; said: $(cat "$E2E/err")"
		return 1
	}
}
in_portal() { in_ns portal timeout 40 "$@"; }

check unknown_commands_and_options_name_themselves eval '
	fails 2 "frobnicate" $PORTAL frobnicate && fails 2 "explode" $PORTAL site explode &&
	fails 2 "colour" $PORTAL site add --colour red && fails 2 "name" $PORTAL site add &&
	fails 2 "nonsense" $PORTAL serve --listen nonsense && fails 2 "tls-key" $PORTAL serve --tls-cert x'
check no_portal_in_the_directory fails 1 "portal init" "$EMBERBOX" portal --dir "$E2E/nothing" site list
check init_twice_is_refused fails 1 "already" $PORTAL init

serve || not_ok serve
cp -r "$DIR" "$E2E/second" && rm -f "$E2E/second/admin.sock"
check port_in_use fails 1 "127.0.0.1:13001.*in use" in_portal "$EMBERBOX" portal --dir "$E2E/second" serve --listen 127.0.0.1:13001
check a_second_portal_in_the_same_directory fails 1 "another process" in_portal $PORTAL serve --listen 127.0.0.1:13002

damage() { # damage FILE: serving a copy whose FILE is garbage
	rm -rf "$E2E/bad" && cp -r "$E2E/second" "$E2E/bad" && rm -f "$E2E/bad/$1"* && head -c 5000 /dev/zero | tr '\0' x >"$E2E/bad/$1" && chmod 600 "$E2E/bad/$1"
}
check garbage_secrets eval 'damage secrets; fails 1 "secrets is damaged" in_portal "$EMBERBOX" portal --dir "$E2E/bad" serve --listen 127.0.0.1:13002'
check garbage_database eval 'damage portal.db; fails 1 "portal.db: .*not a database" in_portal "$EMBERBOX" portal --dir "$E2E/bad" serve --listen 127.0.0.1:13002'
check secrets_open_to_others eval 'chmod 644 "$E2E/second/secrets"; fails 1 "chmod 600" "$EMBERBOX" portal --dir "$E2E/second" site list; rc=$?; chmod 600 "$E2E/second/secrets"; [ $rc = 0 ]'
check missing_certificate fails 1 "no-such-file" in_portal "$EMBERBOX" portal --dir "$E2E/second" serve --listen 127.0.0.1:13002 --tls-cert /no-such-file --tls-key /no-such-file

# ---- HTTP ------------------------------------------------------------------------------------------------------------------------

http() { in_ns portal curl -s -o "$E2E/body" -w '%{http_code}' "$@"; }
check spec60_60_readyz_in_its_states eval '
	[ "$(http http://127.0.0.1:13001/readyz)" = 200 ] && grep -q "\"ready\"" "$E2E/body" &&
	[ "$(http http://127.0.0.1:13001/healthz)" = 200 ]'
check spec10_35_problem_bodies eval '
	[ "$(http http://127.0.0.1:13001/nowhere)" = 404 ] &&
	[ "$(http -H "Connection: Upgrade" -H "Upgrade: websocket" -H "Sec-WebSocket-Version: 13" -H "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==" \
		"http://127.0.0.1:13001/client/websocket?token=.x")" = 401 ] && grep -q invalid_token "$E2E/body"'
idle=$(rss_kib portal)
note "portal idle: $idle KiB RSS"
check idle_memory_within_12_mb [ "$idle" -le 12288 ]
check sigterm_ends_with_0 stop portal

draining() {
	touch "$E2E/draining" && serve --draining-file "$E2E/draining" && [ "$(http http://127.0.0.1:13001/readyz)" = 503 ] && grep -q draining "$E2E/body" &&
		rm "$E2E/draining" && [ "$(http http://127.0.0.1:13001/readyz)" = 200 ] && stop portal
}
check draining_file_turns_readyz_off draining

# ---- disk full ---------------------------------------------------------------------------------------------------------------------

mkdir "$E2E/small" && mount -t tmpfs -o size=3m none "$E2E/small" || skip disk_full "no tmpfs here"
if mountpoint -q "$E2E/small"; then
	trap 'umount -l "$E2E/small"; cleanup' EXIT
	disk_full() {
		DIR=$E2E/small/state PORTAL="$EMBERBOX portal --dir $E2E/small/state"
		$PORTAL init >/dev/null && $PORTAL account add --name Acme --admin-email jo@acme.example >/dev/null && serve || return
		$PORTAL site add --name first >/dev/null || return
		dd if=/dev/zero of="$E2E/small/filler" bs=4k 2>/dev/null
		local i status=0
		for ((i = 0; i < 200 && status == 0; i++)); do
			$PORTAL site add --name "full$i" >/dev/null 2>"$E2E/err"
			status=$?
			[ $status = 0 ] && echo "full$i" >>"$E2E/full"
		done
		grep -q "disk is full" "$E2E/err" && [ $status = 1 ] || { echo "no error after $i writes: $(cat "$E2E/err")"; return 1; }
		$PORTAL site list >"$E2E/out" && grep -q first "$E2E/out" || return
		rm "$E2E/small/filler"
		$PORTAL site add --name after >/dev/null && $PORTAL site list >"$E2E/out" || return
		for i in $(cat "$E2E/full" 2>/dev/null) first after; do grep -qw "$i" "$E2E/out" || { echo "$i is lost"; return 1; }; done
		stop portal && $PORTAL site list | grep -qw after
	}
	check disk_full_is_said_and_loses_nothing disk_full
fi
finish
