#!/bin/bash
# `emberbox client sign-in` and `sign-out` (spec 30 §18.1, §18.2): the address, the prompt without echo, the file, and its end.
# packages: python3:python3
set -u
cd "$(dirname "$0")/../.."
EMBERBOX=${EMBERBOX:-$PWD/build/static/all/emberbox}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
file=$work/etc/client/token
failed=0
check() { # check NAME COMMAND...
	local name=$1
	shift
	if "$@"; then echo "ok client_$name"; else echo "not ok client_$name"; failed=1; fi
}
[ "$(id -u)" = 0 ] || { echo "skip client_sign_in: needs root"; exit 0; }

# without a terminal of its own the token comes from the standard input
sign_in() { printf '%s\n' "$1" | setsid "$EMBERBOX" client --token-path "$file" sign-in --auth-base-url "${2:-https://portal.example.org/x}" --account-slug acme; }
sign_in ' .abc-123_x ' >"$work/out" 2>&1
check spec30_75_prints_the_address grep -qF 'https://portal.example.org/acme?as=headless-client' "$work/out"
check spec30_75_stores_the_token test "$(cat "$file")" = .abc-123_x
check spec30_75_for_root_only test "$(stat -c '%u:%g %a' "$file")" = '0:0 600'
check the_token_is_not_printed sh -c "! grep -qF .abc-123_x '$work/out'"
sign_in '' >/dev/null 2>&1
check an_empty_line_is_an_error test $? = 1
check and_keeps_the_former_token test "$(cat "$file")" = .abc-123_x
sign_in .x ftp://portal.example.org >/dev/null 2>&1
check another_scheme_is_a_usage_error test $? = 2

cat >"$work/terminal.py" <<'PY'
import os, pty, sys
out = b""
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
while b"Enter: " not in out:
    out += os.read(fd, 4096)
os.write(fd, b".typed-on-a-terminal\n")
try:
    while True:
        piece = os.read(fd, 4096)
        if not piece:
            break
        out += piece
except OSError:
    pass
status = os.waitpid(pid, 0)[1]
sys.exit(1 if status or b".typed" in out or "\u2580".encode() not in out else 0)
PY
check spec30_75_on_a_terminal_nothing_is_echoed_and_a_qr_code_is_shown timeout 60 python3 "$work/terminal.py" "$EMBERBOX" client --token-path "$file" sign-in
check the_new_token_took_its_place test "$(cat "$file")" = .typed-on-a-terminal

check spec30_76_asks_and_leaves_it sh -c "echo n | '$EMBERBOX' client --token-path '$file' sign-out | grep -q Cancelled && test -e '$file'"
check spec30_76_yes sh -c "echo YES | '$EMBERBOX' client --token-path '$file' sign-out >/dev/null && ! test -e '$file'"
check spec30_76_nothing_stored_is_fine sh -c "'$EMBERBOX' client --token-path '$file' sign-out </dev/null >/dev/null"
sign_in .again >/dev/null 2>&1
check spec30_76_forced sh -c "'$EMBERBOX' client --token-path '$file' sign-out --force </dev/null >/dev/null && ! test -e '$file'"
exit $failed
