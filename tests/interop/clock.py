"""The wall clock of a serving portal is set, backward by a day and forward by a year: clock.py PORT CLOCK_FILE PID LOG LINK SPARE_LINK SHORT LONG GATEWAY
SHORT and LONG: tokens of clients, for a month and for years; GATEWAY: of a gateway."""
import os, re, sys, threading, time
from portal_browser import Browser, totp
from portal_peers import Peer

port, clock, pid, log, link, spare, short, long, gateway = sys.argv[1:]
port, failed = int(port), 0
DAY = 86400


def check(name, ok, why=""):
    global failed
    failed += not ok
    print(f"ok portal_clock_{name}" if ok else f"not ok portal_clock_{name}: {why}", flush=True)


def jump(seconds):
    """The offset to the real time."""
    global offset
    offset = seconds
    with open(clock, "r+b") as f:
        f.write(str(seconds).encode().ljust(32, b"\0"))
    for p in list(peers.values()):
        try:
            p.heartbeat()
        except OSError:
            pass


def cpu():
    fields = open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def rests(name):
    before = cpu()
    time.sleep(3)
    check(name, cpu() - before < 60, f"{cpu() - before} ticks in 3 s")


closed = {}


def listen(name, peer):
    closed[name] = peer.stay()


def loud():
    return [l for l in open(log) if re.search(r"\b(WARN|ERROR)\b", l)]


def is_in(browser):
    return browser.get(admin.base + "/overview").status == 200


def sign_in(browser, code):
    """With the password and a code; whether that led in."""
    a = browser.get(admin.base)
    form = next(f for f in a.forms if any(x["kind"] == "password" for x in f.fields))
    a = browser.post(form.action, [(n, {"userpass[idp_id]": "jo@acme.example", "userpass[secret]": "tea with seven ducks"}.get(n, v)) for n, v in form.pairs])
    at = a.field("location")
    a = browser.get(at) if at else a
    form = next((f for f in a.forms if f.field("code")), None)
    if form is None:
        return False
    browser.post(form.action or at, [(n, v) for n, v in form.pairs if n != "code"] + [("code", code)])
    return is_in(browser)


offset, peers = 0, {}
admin = Browser(port)
admin.sign_in(link)
enrolled_with = admin.code
for i, (name, role, token) in enumerate([("short", "client", short), ("long", "client", long), ("gateway", "gateway", gateway)]):
    peers[name] = Peer(port, role, token, i)
    threading.Thread(target=listen, args=[name, peers[name]], daemon=True).start()
quiet = len(loud())

# ---- backward ----
jump(-DAY)
check("backward_nobody_is_signed_out", is_in(admin))
a = admin.fill(admin.base + "/sites/new", name="Yesterday")
check("backward_forms_are_taken", a.status == 303, a.status)
check("backward_a_link_that_was_used_stays_used", Browser(port).get("/auth/link/" + link.split("/auth/link/")[1]).status in (404, 410))
check("backward_a_link_that_was_not_used_is_good", Browser(port).get("/auth/link/" + spare.split("/auth/link/")[1]).status == 200)
check("backward_an_old_code_is_not_good_again", not sign_in(Browser(port), totp(admin.secret, time.time() - DAY)))
check("backward_nor_the_one_that_was_used", not sign_in(Browser(port), enrolled_with))
fresh, code = Browser(port), admin.codes[0]
check("backward_a_recovery_code_leads_in", sign_in(fresh, code))
check("but_once", not sign_in(Browser(port), code))
rests("backward_the_portal_rests")
check("backward_nobody_is_disconnected", not closed, closed)
check("backward_the_log_tells_of_the_clock", len([l for l in loud()[quiet:] if "clock was set" in l]) == 1, loud()[quiet:][:5])

# ---- and right again ----
jump(0)
check("right_again_nobody_is_signed_out", is_in(admin))
check("right_again_a_day_is_too_long_for_a_session", not is_in(fresh))
check("right_again_the_code_of_enrolment_is_used", not sign_in(Browser(port), enrolled_with))

# ---- forward ----
jump(365 * DAY)
check("forward_the_portal_is_ready", admin.get("/readyz").status == 200)
check("forward_sessions_end", not is_in(admin) and not is_in(fresh))
for _ in range(300):
    if "short" in closed:
        break
    time.sleep(0.1)
check("forward_a_client_whose_token_expired_is_gone", "short" in closed, closed)
try:
    Peer(port, "client", short, 7).socket.close()
    refusal = ""
except (ConnectionError, OSError) as e:
    refusal = str(e)
check("forward_and_does_not_come_back", " 401 " in refusal, refusal[:200])
later = Browser(port)
check("forward_who_signs_in_is_in", sign_in(later, totp(admin.secret, time.time() + 365 * DAY)))
rests("forward_the_portal_rests")
check("forward_the_others_stay", set(closed) == {"short"}, closed)
check("forward_the_log_is_calm", len(loud()) - quiet <= 6, loud()[quiet:][:10])

# ---- and right again: what was signed a year ahead is nothing now, what is signed now is ----
jump(0)
check("after_it_the_portal_is_ready", admin.get("/readyz").status == 200)
check("after_it_a_cookie_of_next_year_is_nothing", not is_in(later))
again = Browser(port)
check("after_it_a_recovery_code_leads_in", sign_in(again, admin.codes[1]))
check("after_it_forms_are_taken", again.fill(admin.base + "/sites/new", name="Today").status == 303)
rests("after_it_the_portal_rests")
check("after_it_the_others_stay", set(closed) == {"short"}, closed)
sys.exit(bool(failed))
