"""Cookies that were tampered with, things that are used twice, two admins at one row: bad_sessions.py PORT LINK OTHER_LINK SECOND_LINK THIRD_LINK API_TOKEN
LINK and THIRD_LINK: of one admin; OTHER_LINK: of an admin of another account; SECOND_LINK: of a second admin of the first account.

Cookies are those that the portal sets, whatever their names; rows are all that a form with `if-updated-at` edits: what is new is covered by itself."""
import base64, collections, json, re, sys, urllib.parse
from portal_browser import Browser

port, link, other_link, second_link, third_link, api_token = int(sys.argv[1]), *sys.argv[2:]
counts, faults = collections.Counter(), []
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def want(what, ok, answer=None):
    counts["asked"] += 1
    if not ok:
        faults.append(what + (f" ({answer.status} {answer.field('location') or ''})" if answer else ""))


def path_of(one_time):
    return "/auth/link/" + one_time.split("/auth/link/")[1]


admin, other, second = Browser(port), Browser(port), Browser(port)
admin.sign_in(link)
other.sign_in(other_link)
second.sign_in(second_link)
want("the accounts are two", admin.base != other.base and admin.base == second.base)
home = admin.base + "/overview"


def sites():
    a = admin.ask("GET", "/sites?limit=100", None, [("Authorization", "Bearer " + api_token)], keeps_cookies=False)
    return {s["name"] for s in json.loads(a.body)["data"]}


# ---- cookies ------------------------------------------------------------------------------------------------------------------------------

form = admin.get(admin.base + "/sites/new").form(admin.base + "/sites/new")
good = dict(admin.cookies)
session = next(n for n in good if n.startswith("sess_"))
browser_key = "_firezone_key"


def with_cookies(cookies):
    """What a browser with these may see, and do with the form of the one that had the good ones: (in, wrote)"""
    b = Browser(port)
    b.socket, b.cookies = admin.socket, dict(cookies)
    name = f"by cookie {counts['written']}"
    counts["written"] += 1
    a = b.get(home)
    want("no 5xx", a.status < 500, a)
    b.cookies = dict(cookies)
    p = b.post(form.action, [(n, name if n == "name" else v) for n, v in form.pairs])
    want("no 5xx", p.status < 500, p)
    admin.socket = b.socket
    return a.status == 200, p.status == 303 and (p.field("location") or "").startswith(admin.base + "/sites/")


want("good cookies are good", with_cookies(good) == (True, True))
for name, value in sorted(good.items()):
    bad = {"empty": "", "no base64": "%%%%", "long": "A" * 3000, "quoted": f'"{value}"', "twice": value + value, "one more": value + "A", "padded": value + "==", "upper case": value.upper(),
           "reversed": value[::-1], "NUL": "\0" + value[1:], "another encoding": value.replace("-", "+").replace("_", "/") + "+"}
    for at in range(0, len(value), 3):
        bad[f"letter {at}"] = value[:at] + ("B" if value[at] == "A" else "A") + value[at + 1:]
    for n in (1, 2, 4, 8, 16, 22, 40, len(value) - 1):
        bad[f"cut by {n}"] = value[:-n]
    for elsewhere, theirs in sorted(other.cookies.items()):
        bad["of the other account: " + elsewhere[:5]] = theirs
    for elsewhere, ours in sorted(good.items()):
        if elsewhere != name:
            bad["of our " + elsewhere[:5]] = ours
    raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    bad["another age"] = base64.urlsafe_b64encode((int.from_bytes(raw[:8], "big") + 1000).to_bytes(8, "big") + raw[8:]).rstrip(b"=").decode()
    bad["another life"] = base64.urlsafe_b64encode(raw[:8] + (10 ** 9).to_bytes(8, "big") + raw[16:]).rstrip(b"=").decode()
    for case, tampered in bad.items():
        if tampered == value:
            continue
        counts["cookies"] += 1
        is_in, wrote = with_cookies({**good, name: tampered})
        if name == session:
            want(f"{name[:6]} [{case}]: is let in", not is_in and not wrote)
        elif name == browser_key:
            want(f"{name} [{case}]: a form of another browser is taken", not wrote)
    # without it
    is_in, wrote = with_cookies({n: v for n, v in good.items() if n != name})
    want(f"without {name[:6]}", (is_in, wrote) == ((False, False) if name == session else (True, False) if name == browser_key else (True, True)))
# the other account's session under its own name says nothing here
is_in, wrote = with_cookies({**{n: v for n, v in good.items() if n != session}, **{n: v for n, v in other.cookies.items() if n.startswith("sess_")}})
want("the other account's session is let in here", not is_in and not wrote)
want("theirs on our pages", other.get(home).status != 200)

# signing out ends it, though the cookie is still there
third = Browser(port)
third.cookies = {}
kept = None


def used_twice():
    """A link, a code of the app, a recovery code, a session: once."""
    global kept
    third.sign_in(third_link, "another tea with ducks")
    want("a link that was used", Browser(port).get(path_of(third_link)).status in (404, 410))
    a = Browser(port).get(path_of(link))
    want("a link that was used", a.status in (404, 410), a)
    kept = dict(third.cookies)
    out = next(f for f in third.get(third.base + "/overview").forms if f.action.endswith("/sign_out"))
    third.post(out.action, out.pairs)
    third.cookies = kept
    a = third.get(home)
    want("a session that was signed out", a.status != 200, a)


def try_code(code, password="another tea with ducks"):
    b = Browser(port)
    a = b.get(admin.base)
    f = next(f for f in a.forms if any(x["kind"] == "password" for x in f.fields))
    a = b.post(f.action, [(n, {"userpass[idp_id]": "jo@acme.example", "userpass[secret]": password}.get(n, v)) for n, v in f.pairs])
    at = a.field("location")
    if not at:
        return False
    before = dict(b.cookies)
    f = next((f for f in b.get(at).forms if f.field("code")), None)
    if f is None:
        return False
    b.post(f.action or at, [(n, v) for n, v in f.pairs if n != "code"] + [("code", code)])
    is_in = b.get(home).status == 200
    if is_in:  # the same request once more, with the cookies of then
        again = Browser(port)
        again.cookies = before
        again.post(f.action or at, [(n, v) for n, v in f.pairs if n != "code"] + [("code", code)])
        want("the answer with the code, sent again", again.get(home).status != 200)
    return is_in


used_twice()
want("the code of the enrolment", not try_code(third.code))
want("a recovery code leads in", try_code(third.codes[0]))
want("a recovery code, used again", not try_code(third.codes[0]))
want("a recovery code of before", not try_code(admin.codes[0]))
want("the password of before", not try_code(third.codes[1], "tea with seven ducks"))

# ---- two at one row -------------------------------------------------------------------------------------------------------------------------

# changing how he signs in may have ended the first admin's session
first = admin if admin.get(home).status == 200 else None
if first is None:
    first = third
    first.cookies = {}
    a = first.get(admin.base)
    f = next(f for f in a.forms if any(x["kind"] == "password" for x in f.fields))
    a = first.post(f.action, [(n, {"userpass[idp_id]": "jo@acme.example", "userpass[secret]": "another tea with ducks"}.get(n, v)) for n, v in f.pairs])
    f = next(f for f in first.get(a.field("location")).forms if f.field("code"))
    first.post(f.action, [(n, v) for n, v in f.pairs if n != "code"] + [("code", third.codes[2])])
queue, seen, kinds = collections.deque([home]), {home}, {}
per_kind = collections.Counter()
while queue:
    path = queue.popleft()
    kind = UUID.sub(":id", path.split("?")[0])
    per_kind[kind] += 1
    if per_kind[kind] > 2:
        continue
    a = first.get(path)
    for f in a.forms:
        if f.method == "post" and f.field("if-updated-at"):
            kinds.setdefault(UUID.sub(":id", f.action), (path, f.action))
    for href in a.links:
        href = urllib.parse.urljoin(path, href.split("#")[0])
        if href.startswith(first.base + "/") and href not in seen and "/live" not in href and "/export" not in href:
            seen.add(href)
            queue.append(href)
for kind, (path, action) in sorted(kinds.items()):
    mine, theirs = first.get(path).form(action), second.get(path).form(action)
    text = next((x["name"] for x in mine.fields if x["kind"] == "text" and x["name"] in ("name", "description", "search-domain", "network")), None) or \
        next((x["name"] for x in mine.fields if x["kind"] in ("text", "textarea", "email")), None)
    if text is None:
        continue
    value = dict(mine.pairs).get(text) or "corp.example"
    a = first.post(action, [(n, "1" + value if n == text else v) for n, v in mine.pairs])
    if a.status == 422 or "verification=" in (a.field("location") or ""):
        counts["tried first"] += 1  # at a provider that is not there: nothing is saved before it answers
        continue
    want(f"{kind} {text}: the first is not taken", a.status in (200, 303), a)
    counts["rows"] += 1
    b = second.post(action, [(n, "2" + value if n == text else v) for n, v in theirs.pairs])
    want(f"{kind} {text}: the second overwrites", b.status == 409, b)
    again = b.form(action)
    want(f"{kind} {text}: what the second typed is lost", again is not None and (again.field(text) or {}).get("value") == "2" + value, b)
    want(f"{kind} {text}: nothing is said", b.page.alerts or b.page.marked, b)
    now = first.get(path).form(action)
    want(f"{kind} {text}: the first one's change is gone", (now.field(text) or {}).get("value") == "1" + value)
    c = second.post(action, [(n, "2" + value if n == text else v) for n, v in second.get(path).form(action).pairs])
    want(f"{kind} {text}: looked at and saved again", c.status in (200, 303), c)
    now = first.get(path).form(action)
    first.post(action, [(n, value if n == text else v) for n, v in now.pairs])
want(f"{counts['rows']} rows, {counts['tried first']} not saved: too few", counts["rows"] >= 10 and counts["tried first"] <= 4)


# by the API and a page
def api(method, path, body=None):
    a = first.ask(method, path, None if body is None else json.dumps(body).encode(), [("Authorization", "Bearer " + api_token), ("Content-Type", "application/json")], keeps_cookies=False)
    return a, json.loads(a.body)["data"] if a.status in (200, 201) else None


_, resources = api("GET", "/resources")
row = next(r for r in resources if r["type"] == "cidr")
page = f"{first.base}/resources/{row['id']}/edit"
theirs = second.get(page).form(page)
a, changed = api("PATCH", f"/resources/{row['id']}", {"resource": {"name": "renamed by the API"}})
want("the API renames", a.status == 200, a)
b = second.post(page, [(n, "renamed on the page" if n == "name" else v) for n, v in theirs.pairs])
want("the page overwrites what the API changed", b.status == 409 and b.form(page).field("name")["value"] == "renamed on the page", b)
# fields that one request does not name are those of the other
api("PATCH", f"/resources/{row['id']}", {"resource": {"address_description": "said by one"}})
api("PATCH", f"/resources/{row['id']}", {"resource": {"name": "said by the other"}})
_, now = api("GET", f"/resources/{row['id']}")
want("of two changes by the API one is lost", now["name"] == "said by the other" and now["address_description"] == "said by one")

for f in faults[:60]:
    print("    " + f)
print(f"{counts['cookies']} cookies tampered with, {counts['rows']} rows edited by two, {counts['asked']} expectations: {len(faults)} faults")
sys.exit(bool(faults))
