"""A portal whose disk fills up while it serves: disk.py PORT DIR MOUNT LOG LINK API_TOKEN CLIENT_TOKEN GATEWAY_TOKEN EMBERBOX
MOUNT is the small file system that DIR is in. Prints ok and not ok; what is asked for is told by the names."""
import json, os, re, subprocess, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../interop"))
from portal_browser import Browser
from portal_peers import Peer

port, directory, mount, log, link, api_token, client_token, gateway_token, emberbox = sys.argv[1:]
port, failed = int(port), 0
filler = os.path.join(mount, "filler")


def check(name, ok, why=""):
    global failed
    failed += not ok
    print(f"ok portal_disk_{name}" if ok else f"not ok portal_disk_{name}: {why}", flush=True)


def portal(*args):
    return subprocess.run([emberbox, "portal", "--dir", directory, *args], capture_output=True, text=True, timeout=30)


def fill():
    for size in (65536, 4096, 512):
        with open(filler, "ab", buffering=0) as f:
            try:
                while f.write(b"x" * size) == size:
                    pass
            except OSError:
                pass


def complaints():
    """Lines of the log that are no requests and no debug."""
    return [l for l in open(log) if re.search(r"\b(WARN|ERROR)\b", l)]


closed = []


def listen(peer):
    closed.append(f"{peer.role}: {peer.stay()}")


peers = [Peer(port, "client", client_token, 1), Peer(port, "gateway", gateway_token, 1)]
for p in peers:
    threading.Thread(target=listen, args=[p], daemon=True).start()
admin, api = Browser(port), Browser(port)
admin.sign_in(link)


def add_site(name):
    return admin.fill(admin.base + "/sites/new", name=name)


def api_site(name):
    return api.ask("POST", "/sites", json.dumps({"site": {"name": name}}).encode(), [("Authorization", "Bearer " + api_token), ("Content-Type", "application/json")])


def names():
    a = api.ask("GET", "/sites?limit=100", None, [("Authorization", "Bearer " + api_token)])
    found, data = set(), json.loads(a.body)
    while True:
        found |= {s["name"] for s in data["data"]}
        if not data["metadata"]["next_page"]:
            return found
        data = json.loads(api.ask("GET", "/sites?limit=100&page_cursor=" + data["metadata"]["next_page"], None, [("Authorization", "Bearer " + api_token)]).body)


add_site("before")
check("is_ready_at_first", admin.get("/readyz").status == 200)
quiet = len(complaints())
fill()
taken, refused, last = {"before"}, set(), None
for i in range(600):
    last = add_site(f"full {i}")
    (taken if last.status == 303 else refused).add(f"full {i}")
    if last.status != 303:
        break
check("full_is_said_in_words_with_the_form", last.status == 503 and "disk is full" in last.text.lower() and last.form(admin.base + "/sites/new") is not None and
      last.form(admin.base + "/sites/new").field("name")["value"] == f"full {i}", f"{last.status} after {i}: {last.text[-1500:]}")
statuses = set()
for i in range(150):
    fill()
    a = add_site(f"page {i}") if i % 3 else api_site(f"api {i}")
    statuses.add(a.status)
    (taken if a.status in (303, 201) else refused).add(f"page {i}" if i % 3 else f"api {i}")
check("full_stays_full", 503 in statuses and statuses <= {503, 303, 201}, statuses)
a = api_site("api last")
(taken if a.status == 201 else refused).add("api last")
check("full_is_said_by_the_api", a.status == 503 and "disk is full" in a.text.lower(), f"{a.status} {a.text[:300]}")
bad = [p for p in ("overview", "sites", "resources", "policies", "clients", "actors", "groups", "relays", "activity", "settings/account", "settings/dns", "settings/authentication")
       if admin.get(f"{admin.base}/{p}").status != 200]
check("pages_are_read_while_it_is_full", not bad, bad)
a = admin.get("/readyz")
check("readyz_tells_it", a.status == 200 and "disk is full" in a.text, a.text)
stranger = Browser(port)
a = stranger.get(admin.base)
form = next((f for f in a.forms if any(x["kind"] == "password" for x in f.fields)), None)
if form:
    a = stranger.post(form.action, [(n, {"userpass[idp_id]": "jo@acme.example", "userpass[secret]": "tea with seven ducks"}.get(n, v)) for n, v in form.pairs])
check("signing_in_says_it_in_words", form is not None and a.status in (200, 303, 503) and (a.status != 503 or "<h1>" in a.text), f"{a.status} {a.text[:300]}")
r = portal("site", "add", "--name", "by command")
check("the_command_says_it", r.returncode == 1 and "disk is full" in r.stderr, r.stderr)
loud = complaints()[quiet:]
check("the_log_tells_it_a_few_times", 1 <= len(loud) <= 4, f"{len(loud)}: {''.join(loud[:6])}")
try:
    Peer(port, "client", client_token, 7).socket.close()
    note = "is let in"
except (ConnectionError, OSError) as e:
    note = str(e)[:100]
print("note a new client while it is full:", note)
time.sleep(6)
check("peers_stay_connected", not closed, closed)

os.unlink(filler)
for _ in range(300):
    if "disk is full" not in admin.get("/readyz").text:
        break
    time.sleep(0.1)
check("readyz_sees_it_is_over_by_itself", admin.get("/readyz").text.count("disk is full") == 0)
a = add_site("after")
taken.add("after")
check("everything_works_again", a.status == 303 and api_site("api after").status == 201, a.status)
taken.add("api after")
have = {n for n in names()}
check("what_was_taken_is_there_and_nothing_else", taken <= have and not (refused & have), f"missing {sorted(taken - have)[:5]}, too many {sorted(refused & have)[:5]}")
try:
    Peer(port, "client", client_token, 8).socket.close()
    ok, why = True, ""
except (ConnectionError, OSError) as e:
    ok, why = False, str(e)
check("new_clients_join_again", ok, why)
check("the_log_tells_the_end", any("saved again" in l for l in open(log)), "".join(complaints()[-5:]))
check("peers_were_never_closed", not closed, closed)


def integrity(name):
    copy = os.path.join(os.path.dirname(log), "copy.db")
    if os.path.exists(copy):
        os.unlink(copy)
    r = portal("backup", copy)
    import sqlite3
    rows = sqlite3.connect(copy).execute("PRAGMA integrity_check").fetchall() if r.returncode == 0 else r.stderr
    check(name, rows == [("ok",)], rows)


integrity("the_file_is_sound")

# ---- the file is deleted under its feet ----
quiet = len(complaints())
for name in os.listdir(directory):
    if name.startswith("portal.db"):
        os.rename(os.path.join(directory, name), os.path.join(mount, "away-" + name))
a = add_site("lost")
check("a_deleted_file_is_no_place_to_save", a.status == 503 and "deleted" in a.text and a.form(admin.base + "/sites/new").field("name")["value"] == "lost", f"{a.status} {a.text[-900:]}")
a = admin.get("/readyz")
check("readyz_tells_that_the_file_is_gone", a.status == 503 and "database_unavailable" in a.text, a.text)
for i in range(20):
    add_site(f"lost {i}")
check("pages_are_read_without_the_file", admin.get(admin.base + "/sites").status == 200)
loud = complaints()[quiet:]
check("the_log_tells_that_the_file_is_gone", 1 <= len(loud) <= 3 and any("deleted" in l for l in loud), loud[:5])
for name in os.listdir(mount):
    if name.startswith("away-"):
        os.rename(os.path.join(mount, name), os.path.join(directory, name[5:]))

for _ in range(100):
    if admin.get("/readyz").status == 200 and "database" not in admin.get("/readyz").text:
        break
    time.sleep(0.1)
a = add_site("found again")
check("a_file_that_comes_back_is_used", a.status == 303, f"{a.status}")
integrity("and_is_sound")
check("peers_stayed_to_the_end", not closed, closed)
sys.exit(bool(failed))
