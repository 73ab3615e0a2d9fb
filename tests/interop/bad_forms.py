"""Every form of every page with every hostile value in every field: bad_forms.py PORT LINK FOREIGN_IDS FOREIGN_WORD

The pages are found by following links as an admin, the forms and fields by parsing them, so what is new is covered by itself. One form of each
kind (its address with ids replaced) is enough; deletions come last. FOREIGN_IDS: ids of another account, comma list; FOREIGN_WORD: a word that is
in all of its names. Of each answer is asked:
  - no 5xx, and an answer at all;
  - its head has our fields only, its page no element, handler or script that is not ours;
  - refused: the form again with what was typed and the field marked (or a notice), or a page that says why (400, 404, 413);
  - nothing of the other account, and its ids are not found.
"""
import collections, os, re, sys, threading, time, urllib.parse
from portal_browser import Browser

port, link, foreign_ids, foreign_word = int(sys.argv[1]), sys.argv[2], sys.argv[3].split(","), sys.argv[4]
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
HEADERS = {"date", "content-type", "set-cookie", "content-security-policy", "cross-origin-opener-policy", "x-content-type-options", "referrer-policy",
           "cache-control", "content-length", "connection", "location", "retry-after", "allow", "content-disposition", "transfer-encoding", "vary",
           "strict-transport-security", "x-frame-options"}
# what nobody types is compared with what there is, never shown
FOR_CHOSEN = ("empty", "missing", "100 kB", "NUL", "CR LF", "script", "SQL", "invalid UTF-8", "huge", "nil uuid", "foreign id", "twice", "array")
CHOSEN = ("unknown", "hidden", "select", "checkbox", "radio", "button", "submit", "image")
# each hashes a password, known or not
FOR_SLOW = ("empty", "missing", "100 kB", "NUL", "CR LF", "script", "SQL", "invalid UTF-8", "RTL and combining", "array")
began = time.time()
counts, faults, seen_faults = collections.Counter(), [], set()
marker = 0


def kind_of(path):
    path = urllib.parse.urlsplit(path).path
    return UUID.sub(":id", re.sub(r"/auth/link/[^/]+", "/auth/link/:secret", path))


def fault(where, what, answer=None):
    key = (where, what)
    if key not in seen_faults:
        seen_faults.add(key)
        faults.append(f"{where}: {what}" + (f" ({answer.status})" if answer else ""))


def hostile_values(field):
    """name of the case, value as it would be typed (None: the field is missing), whether it may be shown again as it is"""
    global marker
    marker += 1
    m = "zq%dqz" % marker
    return [
        ("empty", "", True),
        ("missing", None, False),
        ("100 kB", m + "x" * 100000, True),
        ("over the body", m + "y" * 300000, False),
        ("NUL", m + "\0after", False),
        ("control bytes", m + "\x01\x02\x1b[31m\x7f", True),
        ("CR LF", m + "\r\nX-Injected: yes\r\n\r\n<b>", True),
        ("script", m + "<script>alert(1)</script>", True),
        ("img", m + "\"'><img src=x onerror=alert(1)>", True),
        ("attribute", m + "' onmouseover=alert(1) x='", True),
        ("textarea", m + "</textarea></select></title><script>alert(1)</script>", True),
        ("javascript:", "javascript:alert('%s')" % m, True),
        ("template", m + "{{7*7}}${7*7}%s%n%x", True),
        ("SQL", m + "' OR 1=1;DROP TABLE accounts;--", True),
        ("SQL like", m + "%_\\\"*", True),
        ("invalid UTF-8", m.encode() + b"\xff\xfe\xc0\xaf\xed\xa0\x80", False),
        ("half an escape", (m + "%zz%").encode(), True),
        ("RTL and combining", m + "\u202e\u202dabc" + "e" + "\u0301" * 40 + "\ufeff\u2028", True),
        ("emoji", m + "\U0001f9d1\u200d\U0001f680" * 10, True),
        ("negative", "-1", True),
        ("huge", "9" * 40, True),
        ("float", "1e308", True),
        ("no uuid", m + "-0000", True),
        ("nil uuid", "00000000-0000-0000-0000-000000000000", True),
        ("foreign id", foreign_ids[counts["fields"] % len(foreign_ids)], True),
        ("path", "../../../etc/passwd", True),
        ("header", "a: b, c; d=\"e\"", True),
    ]


def check_answer(where, answer):
    counts["answers"] += 1
    if answer.status >= 500 and not (answer.status in (502, 503) and "/mail" in where):
        fault(where, "server error", answer)
    for what in answer.head_faults(HEADERS):
        fault(where, what, answer)
    location = answer.field("location")
    if location and not re.match(r"/(?![/\\])|http://127\.0\.0\.1[:/]", location):
        fault(where, f"leads away: {location[:80]}", answer)
    try:
        answer.body.decode("utf-8")
    except UnicodeDecodeError as e:
        fault(where, f"the page is no UTF-8: {e}", answer)
    if answer.is_html:
        for f in answer.faults:
            fault(where, f"in the page: {f}", answer)
        if "<script>alert" in answer.text or "<img src=x" in answer.text:
            fault(where, "reflected unescaped", answer)
    if foreign_word in answer.text or foreign_word in (location or ""):
        fault(where, "tells of another account", answer)


def printable(text):
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in text if c in "\n\t" or (ord(c) >= 32 and ord(c) != 127))


def check_refusal(where, browser, action, name, kind, value, may_show, answer, is_hidden):
    """What a form that was not taken must look like."""
    counts["refused"] += 1
    if answer.status in (400, 403, 404, 413, 429):
        if answer.is_html and "<h1>" not in answer.text:
            fault(where, "refused without words", answer)
        if answer.status in (403, 429):
            fault(where, "refused for another reason", answer)
        if answer.status in (400, 404) and may_show and not is_hidden:
            fault(where, "what was typed is lost", answer)
        return
    form = answer.form(action)
    if form is None:
        fault(where, "the form is not there again", answer)
        return
    if not answer.page.marked and not answer.page.alerts:
        fault(where, "nothing is marked and nothing said", answer)
    counts["marked"] += bool(answer.page.marked)
    field = form.field(name)
    if not field or not may_show or is_hidden or kind in ("password", "checkbox", "radio", "select", "hidden") or value is None:
        return
    typed = value.decode() if isinstance(value, bytes) else value
    # HTML cannot carry control characters; one-time codes are not shown again
    if printable(field["value"]) != printable(typed) and name != "code":
        kept = field["value"]
        fault(where, f"what was typed is lost: {kept[:60]!r}", answer)


def sweep_form(browser, page_path, action, kinds):
    """All fields of one form. False: the page is gone."""
    answer = browser.get(page_path)
    form = answer.form(action)
    if form is None:
        return False
    kind = kind_of(action)
    counts["forms"] += 1
    names = []
    for field in form.fields:
        if field["name"] not in names:
            names.append(field["name"])
    names.append("zz-unknown")
    for name in names:
        if name == "_csrf":
            continue
        counts["fields"] += 1
        field = form.field(name)
        shape = field["kind"] if field else "unknown"
        for case, value, may_show in hostile_values(name) + [("twice", "twice", False), ("array", "array", False)]:
            if (shape in CHOSEN and case not in FOR_CHOSEN) or ("/sign_in/userpass/" in kind and case not in FOR_SLOW):
                continue
            where = f"{kind} {name} [{case}]"
            if case in ("twice", "array"):
                pairs = form.pairs + ([(name, "a"), (name, "b")] if case == "twice" else [(name + "[]", "a"), (name + "[0]", "b")])
            else:
                pairs = [(n, v) for n, v in form.pairs if n != name] + ([(name, value)] if value is not None else [])
            # a form that is right but for one field
            answer = send(browser, where, action, pairs)
            if answer is None:
                continue
            if answer.status >= 400 and case not in ("twice", "array"):
                check_refusal(where, browser, action, name, shape, value, may_show, answer, shape in CHOSEN)
            elif answer.status in (200, 303):
                counts["taken"] += 1
            if answer.status < 400 and case in ("NUL", "invalid UTF-8"):
                fault(where, "was taken", answer)
            if answer.status == 303 or answer.status in (404, 409):
                again = browser.get(page_path)
                check_answer(f"{kind_of(page_path)} after {where}", again)
                if again.form(action) is None:
                    return False
                form = again.form(action)
    return True


def send(browser, where, action, pairs):
    counts["sent"] += 1
    try:
        answer = browser.post(action, pairs)
    except (ConnectionError, OSError) as e:
        fault(where, f"no answer: {e}")
        return None
    check_answer(where, answer)
    return answer


def crawl(browser, start, forms):
    """Follows links below the account; at most 3 pages of a kind. forms: action's kind -> [(page, action)]"""
    queue, seen, per_kind = collections.deque(start), set(start), collections.Counter()
    while queue:
        path = queue.popleft()
        kind = kind_of(path)
        per_kind[kind] += 1
        if per_kind[kind] > 3:
            continue
        answer = browser.get(path)
        check_answer("page " + kind, answer)
        counts["pages"] += 1
        if not answer.is_html:
            continue
        for form in answer.forms:
            action = form.action or path
            if form.method == "post":
                forms.setdefault(kind_of(action), []).append((path, action))
            else:
                sweep_queries.setdefault((kind_of(action), tuple(f["name"] for f in form.fields)), (action, form))
        for href in answer.links:
            href = urllib.parse.urljoin(path, href.split("#")[0])
            if href.startswith("/") and not href.startswith(("/assets", "/auth/", "/swaggerui")) and href not in seen and "/live" not in href and "/export" not in href:
                seen.add(href)
                queue.append(href)
    return seen


def be_a_stranger(base):
    """Whoever is not signed in: the pages of signing in. Their answers take their time, lest they tell who is known."""
    stranger, found = Browser(port), {}
    crawl(stranger, ["/", base, "/sign_up", f"{base}?as=client&state=s&nonce=n"], found)
    for kind in sorted(found):
        for page_path, action in found[kind][:2]:
            if sweep_form(stranger, page_path, action, kind):
                break
    counts["strangers"] = len(found)


sweep_queries = {}
admin = Browser(port)
admin.sign_in(link)
stranger = threading.Thread(target=be_a_stranger, args=[admin.base])
stranger.start()
forms = {}
paths = crawl(admin, [admin.base + "/overview"], forms)
late = re.compile(r"/(delete|remove|revoke|revoke_tokens|sign_out|sign_out_everywhere|disable|codes)$")
own = re.compile(r"/settings/security/|/sign_out$|/settings/account/edit$")  # what ends our own session


def order(kind):
    return (bool(own.search(kind)), bool(late.search(kind)), kind)


done = set()
for turn in range(3):  # what was hidden behind a form is found now
    for kind in sorted((k for k in forms if k not in done), key=order):
        if turn == 0 and (late.search(kind) or own.search(kind)):
            continue
        if kind.endswith("/sign_out"):
            continue
        done.add(kind)
        for page_path, action in forms[kind][:4]:
            if sweep_form(admin, page_path, action, kind):
                break
    if turn < 2:
        forms_now = {}
        paths |= crawl(admin, [admin.base + "/overview"], forms_now)
        for kind, where in forms_now.items():
            forms[kind] = where

# filters, sorts and cursors
for (kind, _), (action, form) in sorted(sweep_queries.items()):
    counts["forms"] += 1
    for name in [f["name"] for f in form.fields] + ["sort", "dir", "after", "before", "page", "topics"]:
        counts["fields"] += 1
        field = form.field(name)
        for case, value, may_show in hostile_values(name):
            if value is None or len(value) > 9000 or ((field is None or field["kind"] in CHOSEN) and case not in FOR_CHOSEN):
                continue
            counts["sent"] += 1
            where = f"GET {kind}?{name} [{case}]"
            try:
                answer = admin.get(action.split("?")[0] + "?" + urllib.parse.quote_plus(name) + "=" + urllib.parse.quote_plus(value))
                check_answer(where, answer)
                if answer.status >= 400 and answer.status not in (400, 404, 414, 431):
                    fault(where, "refused", answer)
            except (ConnectionError, OSError) as e:
                fault(where, f"no answer: {e}")

# ids in addresses
for path in sorted({kind_of(p): p for p in paths if UUID.search(p)}.values()):
    for bad in foreign_ids[:6] + ["00000000-0000-0000-0000-000000000000", "x", "%00", "%0d%0aX-Injected:%20yes", "..%2f..", "%ff", "%22%3e%3cscript%3ealert(1)%3c/script%3e", "a" * 9000,
                                  "%27%20OR%201=1--"]:
        target = UUID.sub(lambda m: bad, path)
        counts["sent"] += 1
        answer = admin.get(target)
        where = f"GET {kind_of(path)} with {bad[:40]}"
        check_answer(where, answer)
        if answer.status not in (303, 400, 404, 414, 431) and "?" not in path:
            fault(where, "is something", answer)

stranger.join()
if counts["strangers"] < 4:
    fault("the pages of signing in", "were not all found")
# and after all of it every page is sound
crawl(admin, [admin.base + "/overview"], {})
answer = admin.get("/readyz")
if answer.status != 200:
    fault("readyz", "not ready", answer)
for f in faults[:int(os.environ.get("FAULTS", "40"))]:
    print("    " + f)
print("%d forms, %d fields, %d hostile requests, %d refused (%d with a field marked), %d taken, %d answers read, %d pages, %.0f s: %d faults" % (
    counts["forms"], counts["fields"], counts["sent"], counts["refused"], counts["marked"], counts["taken"], counts["answers"], counts["pages"],
    time.time() - began, len(faults)))
sys.exit(bool(faults) or counts["forms"] < 60)
