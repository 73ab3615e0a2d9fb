#!/bin/bash
# `client sign-in` and `sign-out` (spec 30 §18.1, §18.2; items 72, 75, 76): URL and QR code, a token pasted unseen at a real terminal or read from a pipe, the file
# that the client then starts from, and how it goes away.
#
# needs: root
# packages: /usr/bin/python3:python3 /usr/bin/zbarimg:zbar-tools
# timeout: 300
. "$(dirname "$0")/../lib.sh"
unset FIREZONE_TOKEN FIREZONE_TOKEN_PATH FIREZONE_AUTH_BASE_URL FIREZONE_ACCOUNT_SLUG

"$EMBERBOX" --help | grep -qE '^ +client( |$)' || { skip sign_in "no client in this build" && finish; }
[ "$(id -u)" = 0 ] || { skip sign_in "needs root" && finish; }

token=.SFMyNTY.g2gDaANtAAAAJDEyMzQ1Njc4OTA.abcdefghijklmnopqrstuvwxyz-0123456789_
file=$work/etc/client/token
client() { "$EMBERBOX" client "$@"; }
says() { # says PATTERN COMMAND...
	pattern=$1
	shift
	"$@" >"$work/out" 2>&1
	grep -qE -- "$pattern" "$work/out" || { cat "$work/out"; return 1; }
}
piped() { printf '%s\n' "$1" | client sign-in --token-path "$file" "${@:2}"; }

# --- from a pipe ---------------------------------------------------------------------------------------------------------------------------------------
check spec30_75_url_with_slug says '^    https://portal\.example:8443/acme\?as=headless-client$' piped "$token" --auth-base-url https://portal.example:8443/old/path --account-slug acme
check url_without_slug says '^    https://portal\.example/\?as=headless-client$' piped "$token" --auth-base-url https://portal.example
check url_keeps_its_path says '^    https://portal\.example/x/\?as=headless-client$' piped "$token" --auth-base-url https://portal.example/x/
check url_by_default says '^    https://app\.firezone\.dev/\?as=headless-client$' piped "$token"
FIREZONE_AUTH_BASE_URL=https://env.example FIREZONE_ACCOUNT_SLUG=corp check spec30_72_url_from_environment says '^    https://env\.example/corp\?as=headless-client$' piped "$token"
check token_is_not_printed says '' piped "$token"
check spec30_75_token_is_nowhere_in_the_output not grep -q "$token" "$work/out"
check no_qr_code_into_a_pipe [ "$(grep -c '▀' "$work/out")" = 0 ]
check token_is_stored [ "$(cat "$file")" = "$token" ]
check spec30_75_token_is_roots_alone [ "$(stat -c '%a %u:%g' "$file")" = "600 0:0" ]
check spaces_around_are_dropped piped "   $token	 "
check token_is_stored_clean [ "$(cat "$file")" = "$token" ]
check nothing_is_left_beside_it [ "$(ls -A "$(dirname "$file")")" = token ]
chmod 666 "$file"
check a_new_token_replaces_the_old piped "${token}2"
check its_mode_is_right_again [ "$(stat -c '%a' "$file") $(cat "$file")" = "600 ${token}2" ]
(umask 0; piped "$token" >/dev/null)
check umask_does_not_matter [ "$(stat -c '%a' "$file")" = 600 ]

# --- what is no token, and other mistakes --------------------------------------------------------------------------------------------------------------------
before=$(cat "$file") n=0
for bad in '' ' ' notoken .short 'a b' "$(head -c 5000 /dev/zero | tr '\0' x)" $'.abc\x01defghijklmnopqrstuvwxyz0123456789' .é123456789012345678901234567890; do
	piped "$bad" >/dev/null 2>&1
	[ $? = 1 ] && [ "$(cat "$file")" = "$before" ]
	verdict "refused_$((++n))" $?
done
check no_input_is_an_error says 'no token was given' client sign-in --token-path "$file" </dev/null
client sign-in --account-slug 'a/b' </dev/null >/dev/null 2>&1
check bad_slug_is_usage [ $? = 2 ]
client sign-in --auth-base-url 'ftp://x' </dev/null >/dev/null 2>&1
check bad_url_is_usage [ $? = 2 ]
check help_teaches says 'client sign-in <token.txt' client sign-in --help
check client_help_names_both says 'sign-out +remove the token' client --help
check place_that_cannot_be_is_named says 'cannot .*/dev/null/x' client sign-in --token-path /dev/null/x/token <<<"$token"
if command -v setpriv >/dev/null; then
	check only_root says 'only root' setpriv --reuid 65534 --clear-groups "$EMBERBOX" client sign-in --token-path "$work/nobody" </dev/null
fi

# --- the client starts from it -------------------------------------------------------------------------------------------------------------------------------
check client_uses_the_stored_token says 'Check passed' client --check --api-url ws://127.0.0.1:1/ --token-path "$file" --firezone-id e2e-sign-in --dns-control disabled

# --- at a terminal ---------------------------------------------------------------------------------------------------------------------------------------------
/usr/bin/python3 - "$EMBERBOX" "$token" "$work/tty/token" "$work" <<'END'
import os, pty, re, select, signal, subprocess, sys, termios, time
ember, token, path, work = sys.argv[1:5]

def ok(name, good, why=""):
    print(("ok " if good else "not ok ") + name + ("" if good else f": {why!r}"), flush=True)

def run(args, answer, wait, sig=None):
    """Starts the client at a terminal of its own; when `wait` has been said, types `answer` or sends the signal."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execv(ember, [ember, "client"] + args)
    said, echo, status, sent, end = b"", None, None, False, time.time() + 20
    while time.time() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                piece = os.read(fd, 4096)
            except OSError:
                piece = b""
            if not piece:
                break
            said += piece
        # the question is there before the echo is off, so both are waited for
        echoes = bool(termios.tcgetattr(fd)[3] & termios.ECHO) if not sent else True
        if not sent and wait in said and (answer is not None and answer.startswith(b"!") or not echoes):
            echo, sent = echoes, True
            if sig:  # what it leaves behind is looked at when it has ended
                os.kill(pid, sig)
                while status is None and time.time() < end:
                    ended, how = os.waitpid(pid, os.WNOHANG)
                    status = how if ended else None
                    time.sleep(0.05)
                break
            os.write(fd, answer.lstrip(b"!") + b"\n")
    try:
        after = bool(termios.tcgetattr(fd)[3] & termios.ECHO)
    except termios.error:
        after = None
    if status is None:
        status = os.waitpid(pid, 0)[1]
    os.close(fd)
    return said.decode("utf-8", "replace"), echo, after, status

url = "https://portal.example.org/acme?as=headless-client"
args = ["sign-in", "--auth-base-url", "https://portal.example.org", "--account-slug", "acme", "--token-path", path]
said, echo, after, status = run(args, token.encode(), b"press Enter: ")
ok("tty_signs_in", status == 0 and os.path.exists(path) and open(path).read() == token, said)
ok("spec30_75_tty_does_not_echo", echo is False and token not in said, said)
rows = re.findall("\x1b\\[0;30;107m([ ▀▄█]+)\x1b\\[0m", said)
width = len(rows[0]) if rows else 0
ok("tty_draws_a_qr_code", width > 25 and all(len(r) == width for r in rows), said)
bits = []
for r in rows:
    bits.append(["1" if c in "▀█" else "0" for c in r])
    bits.append(["1" if c in "▄█" else "0" for c in r])
scale = 6
with open(work + "/qr.pbm", "w") as f:
    f.write(f"P1\n{width * scale} {len(bits) * scale}\n")
    for b in bits:
        line = " ".join(x for x in b for _ in range(scale)) + "\n"
        f.write(line * scale)
try:
    read = subprocess.run(["/usr/bin/zbarimg", "-q", "--raw", work + "/qr.pbm"], capture_output=True, text=True).stdout.strip()
    ok("qr_code_is_read_by_a_scanner", read == url, read)
except FileNotFoundError:
    print("skip qr_code_is_read_by_a_scanner: no zbarimg")
said, echo, after, status = run(args, b"x", b"press Enter: ", signal.SIGTERM)
ok("tty_echoes_again_after_a_signal", after is not False and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGTERM, (after, status))
out = ["sign-out", "--token-path", path]
said, *_ , status = run(out, b"!n", b"[y/N] ")
ok("spec30_76_tty_sign_out_asks", status == 0 and "Cancelled" in said and os.path.exists(path), said)
said, *_ , status = run(out, b"!YES", b"[y/N] ")
ok("tty_sign_out_is_confirmed", status == 0 and "Signed out" in said and not os.path.exists(path), said)
END

# --- sign-out -----------------------------------------------------------------------------------------------------------------------------------------------------
echo maybe | client sign-out --token-path "$file" >"$work/out"
check sign_out_without_a_yes_keeps_it grep -q Cancelled "$work/out"
client sign-out --token-path "$file" </dev/null >"$work/out"
check sign_out_without_an_answer_keeps_it [ -e "$file" ]
check sign_out_forced client sign-out --force --token-path "$file"
check token_is_gone [ ! -e "$file" ]
check sign_out_twice_is_fine says 'Nobody is signed in' client sign-out --token-path "$file"
client sign-out --token-path "$file" >/dev/null
check spec30_76_sign_out_of_nobody_is_no_error [ $? = 0 ]
check client_says_how_to_sign_in says 'client sign-in' client --check --token-path "$file"
check option_before_the_command says "no token in $work/elsewhere" client --token-path "$work/elsewhere" sign-out
finish
