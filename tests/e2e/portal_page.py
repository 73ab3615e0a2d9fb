"""Signs in to the portal's pages by a one-time link (a password and an app, no script) and asks for a page until it says something.

  portal_page.py LINK PATH SECONDS PATTERN…      0 when every PATTERN (a regular expression) is found in the page within so many seconds

Prints what the page said last when not."""
import base64, hashlib, hmac, html, http.cookiejar, re, struct, sys, time, urllib.parse, urllib.request

link, path, seconds, patterns = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4:]
base = "{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(link))
browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))


def ask(url, form=None):
    request = urllib.request.Request(url, urllib.parse.urlencode(form).encode() if form else None, {"Origin": base})
    with browser.open(request, timeout=20) as answer:
        return answer.read().decode()


def found(pattern, text):
    match = re.search(pattern, text, re.S)
    if not match:
        sys.exit(f"no {pattern} in {text[:2000]}")
    return html.unescape(match.group(1))


def totp(secret):
    key = base64.b32decode("".join(secret.split()))
    digest = hmac.new(key, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7FFFFFFF) % 1000000:06}"


page = ask(link)
form = {name: html.unescape(value) for name, value in re.findall(r'<input type="?hidden"? name="?(\w+)"? value="([^"]*)"', page)}
password = "a long enough password of a test"
form |= {"password": password, "again": password, "code": totp(found(r'id="?totp"?[^>]*>([A-Z2-7\s]+)<', page))}
ask(base + found(r'action="([^"]*/password)"', page), form)

text, until = "", time.time() + seconds
while time.time() < until:
    text = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", ask(base + path).split("<main", 1)[-1])))
    if all(re.search(p, text) for p in patterns):
        sys.exit(0)
    time.sleep(0.3)
print(text)
sys.exit(1)
