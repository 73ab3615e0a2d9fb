"""Every field of every operation of the API's own document with wrong types and hostile values: bad_json.py PORT TOKEN FOREIGN_IDS FOREIGN_WORD

What may be sent is read from /openapi, so what is new is covered by itself: bodies field by field down to the leaves, parameters of paths and queries.
Of each answer is asked:
  - no 5xx, and an answer at all; our fields in its head only; JSON;
  - 4xx: {"error":{"reason": a sentence}} and nothing else that the document does not know;
  - a value of another type than the document says is not taken (422 or 400), an id of another account is not found, its names are told nowhere;
  - the thing can still be read, and is as it was when the change was refused.
"""
import collections, json, os, re, sys, time, urllib.parse
from portal_browser import Browser

port, token, foreign_ids, foreign_word = int(sys.argv[1]), sys.argv[2], sys.argv[3].split(","), sys.argv[4]
browser = Browser(port)
began, counts, faults, seen = time.time(), collections.Counter(), [], set()
HEADERS = {"date", "content-type", "cache-control", "content-length", "connection", "location", "retry-after", "allow", "x-content-type-options", "vary",
           "referrer-policy", "strict-transport-security", "cross-origin-opener-policy", "www-authenticate", "content-security-policy", "etag"}


def fault(where, what, answer=None):
    if (where, what) not in seen:
        seen.add((where, what))
        faults.append(f"{where}: {what}" + (f" ({answer.status} {answer.text[:160]})" if answer else ""))


def ask(where, method, path, body=None, kind="application/json"):
    """`body`: bytes, or what becomes JSON."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode("utf-8", "surrogatepass")
    fields = [("Authorization", "Bearer " + token)] + ([("Content-Type", kind)] if body is not None else [])
    counts["sent"] += 1
    try:
        answer = browser.ask(method, path, body, fields, keeps_cookies=False)
    except (ConnectionError, OSError) as e:
        fault(where, f"no answer: {e}")
        return None
    if answer.status >= 500:
        fault(where, "server error", answer)
    for what in answer.head_faults(HEADERS):
        fault(where, what, answer)
    if foreign_word in answer.text:
        fault(where, "tells of another account", answer)
    if answer.status == 204:
        return answer
    if not (answer.field("content-type") or "").startswith("application/json"):
        fault(where, f"is no JSON: {answer.field('content-type')}", answer)
        return answer
    try:
        answer.json = json.loads(answer.body.decode("utf-8"))
    except ValueError as e:
        fault(where, f"is no JSON: {e}", answer)
        return answer
    if answer.status >= 400:
        counts["refused"] += 1
        problem = check_schema(answer.json, ERROR)
        if problem:
            fault(where, f"an error of another shape: {problem}", answer)
        elif not re.search(r"[a-z]{2}", answer.json["error"]["reason"]):
            fault(where, "an error without words", answer)
    else:
        counts["taken"] += 1
    return answer


# ---- the document -------------------------------------------------------------------------------------------------------------------------

document = json.loads(browser.get("/openapi").body)
TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict, "null": type(None)}


def resolve(schema):
    while "$ref" in schema:
        at = document
        for part in schema["$ref"].split("/")[1:]:
            at = at[part]
        schema = at
    return schema


ERROR = resolve({"$ref": "#/components/schemas/Error"})


def types_of(schema):
    t = resolve(schema).get("type", [])
    return [t] if isinstance(t, str) else t


def check_schema(value, schema):
    schema = resolve(schema)
    if types_of(schema) and not any(isinstance(value, TYPES[t]) and not (isinstance(value, bool) and t in ("integer", "number")) for t in types_of(schema)):
        return f"{value!r} is no {types_of(schema)}"
    if isinstance(value, dict):
        for name in schema.get("required", []):
            if name not in value:
                return f"{name} is missing"
        for name, inner in schema.get("properties", {}).items():
            if name in value and check_schema(value[name], inner):
                return f"{name}: {check_schema(value[name], inner)}"
    return None


def leaves(schema, path=()):
    """Every place of a body, from the whole down: (path, schema)"""
    schema = resolve(schema)
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from leaves(inner, path + (name,))
    if "items" in schema:
        yield from leaves(schema["items"], path + (0,))


def replaced(body, path, value):
    """A copy of the body with the value at the path, made where it is missing."""
    if not path:
        return value
    if isinstance(path[0], int):
        items = list(body) if isinstance(body, list) else []
        first = items[0] if items else None
        return [replaced(first, path[1:], value)] + items[1:]
    out = dict(body) if isinstance(body, dict) else {}
    if value is MISSING and len(path) == 1:
        out.pop(path[0], None)
    else:
        out[path[0]] = replaced(out.get(path[0]), path[1:], value)
    return out


MISSING = object()
nested_list, nested_object = [], {}
for _ in range(200):
    nested_list, nested_object = [nested_list], {"a": nested_object}
VALUES = [
    ("null", None), ("true", True), ("zero", 0), ("negative", -1), ("float", 1.5), ("huge number", 10 ** 30), ("1e308", 1e308), ("empty", ""), ("word", "x"), ("blank", "  "),
    ("number as text", "17"), ("empty array", []), ("array", ["a", 1, None]), ("array of arrays", [[[]]]), ("empty object", {}), ("object", {"a": {"b": [1]}}),
    ("200 deep", nested_list), ("200 objects deep", nested_object), ("100 kB", "x" * 100000), ("many", list(range(5000))), ("NUL", "a\0b"), ("control bytes", "a\x01\x1b[31m\x7f"),
    ("CR LF", "a\r\nX-Injected: yes\r\n\r\n"), ("script", "<script>alert(1)</script>"), ("SQL", "' OR 1=1;DROP TABLE accounts;--"), ("half a surrogate", "\ud800x"),
    ("RTL and combining", "\u202eabc" + "e\u0301" * 40), ("emoji", "\U0001f9d1\u200d\U0001f680" * 20), ("no uuid", "0000-x"), ("nil uuid", "00000000-0000-0000-0000-000000000000"),
    ("printf", "%s%n%x{{7*7}}"), ("missing", MISSING),
]


def is_of_type(value, schema):
    types = types_of(schema)
    if not types or value is MISSING:
        return True
    for t in types:
        if isinstance(value, bool) and t in ("integer", "number"):
            continue
        if t == "integer" and isinstance(value, float):
            continue
        if isinstance(value, TYPES[t]):
            return True
    return False


# ---- things to try it on ------------------------------------------------------------------------------------------------------------------

things = {}  # collection path -> an id


def listed(path):
    if path not in things:
        answer = ask("list " + path, "GET", path)
        data = getattr(answer, "json", {}).get("data") or []
        data = [d for d in data if isinstance(d, dict) and d.get("id") and d.get("managed_by") != "system" and d.get("type") not in ("managed", "api_client", "account_admin_user", "internet")]
        things[path] = data[-1]["id"] if data else None
    return things[path]


def filled(template, spoiled=None, by=None):
    """A path with ids; the parameter `spoiled` gets `by`."""
    out = ""
    for part in template.split("/")[1:]:
        if part == "{" + str(spoiled) + "}":
            part = by
        elif part.startswith("{"):
            part = listed(out) or "00000000-0000-0000-0000-000000000001"
        out += "/" + part
    return out


def body_of(schema, path):
    """A body that is taken: examples of the document, or what the thing looks like now."""
    schema = resolve(schema)
    if "example" in schema:
        return schema["example"]
    out = {}
    now = ask("show", "GET", path)
    now = (getattr(now, "json", None) or {}).get("data") if now and now.status == 200 else None
    for name, inner in schema.get("properties", {}).items():
        inner_schema = resolve(inner)
        if inner_schema.get("properties"):
            out[name] = {}
            for leaf, s in inner_schema["properties"].items():
                s = resolve(s)
                if isinstance(now, dict) and leaf in now:
                    out[name][leaf] = now[leaf]
                elif leaf.endswith("_id"):
                    out[name][leaf] = listed("/" + leaf[:-3] + "s" if leaf != "policy_id" else "/policies")
                elif "enum" in s:
                    out[name][leaf] = s["enum"][0]
                elif leaf in ("name",):
                    out[name][leaf] = "json %d" % counts["names"]
                    counts["names"] += 1
    return out


def sweep_body(template, method, operation):
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    path = filled(template)
    counts["operations"] += 1
    good = body_of(schema, path)
    label = f"{method} {template}"
    raw = json.dumps(good).encode()
    for case, body, kind in [
            ("empty body", b"", "application/json"), ("no JSON", b"{", "application/json"), ("two documents", raw + raw, "application/json"), ("rubbish behind", raw + b"x", "application/json"),
            ("NUL behind", raw + b"\0", "application/json"), ("invalid UTF-8", b'{"a":"\xff\xfe"}', "application/json"), ("10,000 deep", b"[" * 10000, "application/json"),
            ("10,000 objects deep", b'{"a":' * 10000, "application/json"), ("form", b"a=b", "application/x-www-form-urlencoded"), ("another type", raw, "text/plain"),
            ("UTF-16", json.dumps(good).encode("utf-16"), "application/json"), ("a mark before", b"\xef\xbb\xbf" + raw, "application/json"), ("NaN", b'{"a":NaN}', "application/json"),
            ("over the limit", b'{"a":"' + b"x" * 300000 + b'"}', "application/json")]:
        answer = ask(f"{label} [{case}]", method, path, body, kind)
        if answer is not None and answer.status < 400 and case not in ("another type", "a mark before", "NaN"):
            fault(f"{label} [{case}]", "was taken", answer)
    ask(f"{label} [twice]", method, path, b'{"a":1,"a":2}')
    for place, inner in leaves(schema):
        counts["fields"] += 1
        name = ".".join(map(str, place)) or "(body)"
        for case, value in VALUES + [("foreign id", foreign_ids[counts["fields"] % len(foreign_ids)])]:
            if value is MISSING and not place:
                continue
            if value is MISSING and isinstance(place[-1], int):
                continue
            where = f"{label} {name} [{case}]"
            answer = ask(where, method, path, replaced(good, place, value))
            if answer is None:
                continue
            if answer.status == 404 and method != "POST" and "}" not in template.rsplit("/", 1)[0]:
                break
            if answer.status in (401, 403, 405, 415, 429):
                fault(where, "refused for another reason", answer)
            if answer.status < 400 and not is_of_type(value, inner):
                fault(where, f"was taken, of a wrong type ({types_of(inner)})", answer)
            if answer.status < 400 and case == "foreign id" and place and str(place[-1]).endswith("_id"):
                fault(where, "an id of another account was taken", answer)
            if answer.status == 201:
                counts["made"] += 1
                made = answer.json.get("data", {}).get("id") if isinstance(answer.json.get("data"), dict) else None
                if made:
                    ask(where + " away again", "DELETE", template + "/" + made)
                good = replaced(good, place[:1] + ("name",), "json again %d" % counts["made"]) if place and "name" in (good.get(place[0]) or {}) else good


BAD_IDS = foreign_ids[:8] + ["00000000-0000-0000-0000-000000000000", "x", "%00", "%0d%0aX-Injected:%20yes", "..%2f..", "%ff", "a" * 3000, "%27%20OR%201=1--", "-1"]
for template, operations in sorted(document["paths"].items()):
    parameters = operations.get("parameters", [])
    for method in ("get", "post", "put", "patch", "delete"):
        if method not in operations:
            continue
        operation = operations[method]
        label = f"{method.upper()} {template}"
        if "requestBody" in operation:
            sweep_body(template, method.upper(), operation)
        for p in parameters + operation.get("parameters", []):
            p = resolve(p)
            counts["parameters"] += 1
            if p["in"] == "path":
                for bad in BAD_IDS:
                    body = {} if "requestBody" in operation else None
                    answer = ask(f"{label} {p['name']}={bad[:30]}", method.upper(), filled(template, p["name"], bad), body)
                    if answer is not None and answer.status < 400:
                        fault(f"{label} {p['name']}={bad[:30]}", "is something", answer)
            elif p["in"] == "query":
                for case, value in VALUES:
                    if not isinstance(value, (str, int, float)) or (isinstance(value, str) and len(value) > 9000):
                        continue
                    text = str(value).encode("utf-8", "surrogatepass")
                    for query in (urllib.parse.quote_plus(p["name"]) + "=" + urllib.parse.quote_plus(text), urllib.parse.quote_plus(p["name"]) + "[]=" + urllib.parse.quote_plus(text)):
                        ask(f"{label}?{p['name']} [{case}]", "GET", filled(template) + "?" + query)
    # and what is no operation of it
    for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE", "X"):
        if method.lower() not in operations:
            answer = ask(f"{method} {template}", method, filled(template), {})
            if answer is not None and answer.status != 405:
                fault(f"{method} {template}", "is not 405", answer)

for header in ("", "Bearer", "Bearer ", "Bearer x", "Basic " + token, "Bearer " + token[:-1], "Bearer " + token + "x", "bearer\t" + token, "Bearer " + "x" * 9000):
    answer = browser.ask("GET", "/sites", None, [("Authorization", header)], keeps_cookies=False)
    counts["sent"] += 1
    if answer.status not in (401, 431):
        fault(f"Authorization: {header[:30]}", "is let in", answer)

for f in faults[:int(os.environ.get("FAULTS", "40"))]:
    print("    " + f)
print("%d operations with a body, %d fields, %d parameters, %d hostile requests, %d refused, %d taken, %.0f s: %d faults" % (
    counts["operations"], counts["fields"], counts["parameters"], counts["sent"], counts["refused"], counts["taken"], time.time() - began, len(faults)))
sys.exit(bool(faults) or counts["operations"] < 15)
