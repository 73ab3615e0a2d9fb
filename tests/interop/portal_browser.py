"""A browser for tests of the portal, of Python's standard library: it shows each byte of an answer's head, keeps cookies and forms, and signs in.

    b = Browser(13001)                     b.sign_in(link, password)     the link of `portal link add`; afterwards b.base is "/acme"
    a = b.get("/acme/sites")               a.status, a.head (bytes), a.text, a.forms, a.links, a.faults (what no page of ours may have)
    f = a.form("/acme/sites/new")          f.pairs: what a browser would send unchanged; b.post(f.action, f.pairs)
"""
import base64, hashlib, hmac, html, re, socket, struct, time, urllib.parse


class Form:
    def __init__(self, attrs):
        self.method, self.action, self.fields = (attrs.get("method") or "get").lower(), attrs.get("action") or "", []

    @property
    def pairs(self):
        return [(f["name"], f["value"]) for f in self.fields if f["is_sent"]]

    def field(self, name):
        return next((f for f in self.fields if f["name"] == name), None)


TAG = re.compile(r"<!--.*?-->|<(/?)([a-zA-Z][^\s/>]*)((?:\"[^\"]*\"|'[^']*'|[^\"'>])*)>", re.S)
ATTRIBUTE = re.compile(r"([^\s=/>]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+)))?")
NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9:-]*")
SCHEME = re.compile(r"[\s\0-\x1f]*([a-zA-Z][a-zA-Z0-9+.-]*):")


class Page:
    """What a page consists of, and what no page of ours may have: scripts without the nonce of the answer, handlers and styles in
    attributes, elements that nobody here writes, links with foreign schemes."""
    FOREIGN = {"img", "iframe", "object", "embed", "base", "marquee", "frame", "applet", "audio", "video", "math"}

    def __init__(self, text, nonce):
        self.forms, self.links, self.faults, self.nonce = [], [], [], nonce
        self.marked, self.alerts = set(), 0
        self.open_form = self.open_text = self.open_select = None
        at = 0
        while tag := TAG.search(text, at):
            at, name = tag.end(), (tag[2] or "").lower()
            if not name:
                continue
            if tag[1]:
                self.handle_endtag(name)
                continue
            attrs = {}
            for a in ATTRIBUTE.finditer(tag[3]):
                value = a[2] if a[2] is not None else a[3] if a[3] is not None else a[4]
                attrs.setdefault(a[1].lower(), html.unescape(value) if value and "&" in value else value)
            self.handle_starttag(name, attrs)
            if name in ("script", "style", "textarea", "title"):  # no elements in them
                end = text.find("</" + name, at)
                end = len(text) if end < 0 else end
                if self.open_text:
                    self.open_text["value"] = html.unescape(text[at:end])
                at = end

    def handle_starttag(self, tag, attrs):
        for name in attrs:
            if name.startswith("on") or name == "style" or not NAME.fullmatch(name):
                self.faults.append(f"<{tag} {name}>")
        if tag in self.FOREIGN or (tag == "meta" and "http-equiv" in attrs):
            self.faults.append(f"<{tag}>")
        if tag == "script" and attrs.get("nonce") != self.nonce and attrs.get("type") != "application/json" and not (attrs.get("src") or "").startswith("/assets/"):
            self.faults.append("<script> without the nonce")
        if tag == "a" and attrs.get("href"):
            self.links.append(attrs["href"])
        for name in ("href", "action", "src"):
            scheme = SCHEME.match(attrs[name]) if attrs.get(name) else None
            if scheme and scheme[1].lower() not in ("http", "https", "mailto", "otpauth") and not scheme[1].startswith("firezone-"):
                self.faults.append(f"<{tag} {name}={attrs[name][:40]}>")
        if attrs.get("aria-invalid") == "true":
            self.marked.add(attrs.get("name") or (attrs.get("id") or "")[2:])
        if attrs.get("role") == "alert" and "hidden" not in attrs:
            self.alerts += 1
        if tag == "form":
            self.open_form = Form(attrs)
            self.forms.append(self.open_form)
        elif self.open_form and tag in ("input", "textarea", "select", "button") and attrs.get("name"):
            kind = attrs.get("type") or ("text" if tag == "input" else tag)
            field = {"name": attrs["name"], "value": attrs.get("value") or ("on" if kind == "checkbox" else ""), "kind": kind, "choices": [],
                     "is_sent": (kind not in ("checkbox", "radio") or "checked" in attrs) and kind not in ("submit", "button") and "disabled" not in attrs}
            self.open_form.fields.append(field)
            if tag == "textarea":
                self.open_text = field
            elif tag == "select":
                self.open_select = field
                field["is_sent"] = False
        elif tag == "option" and self.open_select:
            field = self.open_select
            field["choices"].append(attrs.get("value") or "")
            if "selected" in attrs or not field["is_sent"]:
                field["value"], field["is_sent"] = attrs.get("value") or "", True

    def handle_endtag(self, tag):
        if tag == "textarea" and self.open_text:
            if self.open_text["value"].startswith("\n"):
                self.open_text["value"] = self.open_text["value"][1:]
            self.open_text = None
        elif tag == "select":
            self.open_select = None
        elif tag == "form":
            self.open_form = None


class Answer:
    def __init__(self, head, body):
        self.head, self.body, self._page = head, body, None
        lines = head.split(b"\r\n")
        self.status = int(lines[0].split()[1])
        self.fields = [tuple(x.strip() for x in line.decode("latin-1").split(":", 1)) for line in lines[1:] if line]

    def field(self, name):
        return next((v for n, v in self.fields if n.lower() == name), None)

    def head_faults(self, ours):
        """What is wrong with the head, where `ours` are the fields that we write, in small letters."""
        for name, value in self.fields:
            if name.lower() not in ours or any(ord(c) < 32 for c in value):
                yield f"a field of the head that is not ours: {name}"
        if b"\n" in self.head.replace(b"\r\n", b""):
            yield "a bare line feed in the head"

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def is_html(self):
        return (self.field("content-type") or "").startswith("text/html")

    @property
    def page(self):
        if self._page is None:
            nonce = re.search(r"'nonce-([^']+)'", self.field("content-security-policy") or "")
            self._page = Page(self.text if self.is_html else "", nonce[1] if nonce else None)
        return self._page

    forms = property(lambda self: self.page.forms)
    links = property(lambda self: self.page.links)
    faults = property(lambda self: self.page.faults)

    def form(self, action):
        return next((f for f in self.forms if f.method == "post" and f.action == action), None)


def read_answer(s, is_head=False, ahead=b""):
    """The next answer on the socket: Answer and the bytes behind it; None when the connection ended without one."""
    got = ahead
    while b"\r\n\r\n" not in got:
        piece = s.recv(65536)
        if not piece:
            return None, got
        got += piece
    head, rest = got.split(b"\r\n\r\n", 1)
    answer = Answer(head, b"")
    if answer.status == 100:
        return read_answer(s, is_head, rest)
    if is_head or answer.status in (204, 304) or answer.status == 101:
        return answer, rest
    if answer.field("transfer-encoding"):
        return answer, rest
    n = int(answer.field("content-length") or 0)
    while len(rest) < n:
        piece = s.recv(65536)
        if not piece:
            break
        rest += piece
    answer.body = rest[:n]
    return answer, rest[n:]


def totp(secret, at=None, step=0):
    key = base64.b32decode(secret.replace(" ", "") + "=" * (-len(secret.replace(" ", "")) % 8))
    mac = hmac.new(key, struct.pack(">Q", int((time.time() if at is None else at) / 30) + step), hashlib.sha1).digest()
    return "%06d" % ((struct.unpack(">I", mac[mac[19] & 15:][:4])[0] & 0x7fffffff) % 1000000)


class Browser:
    def __init__(self, port, host="127.0.0.1", timeout=20):
        self.port, self.host, self.timeout, self.socket, self.cookies, self.base = port, host, timeout, None, {}, ""
        self.n = 0

    def dial(self):
        s = socket.create_connection((self.host, self.port), self.timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def ask(self, method, target, body=None, fields=(), keeps_cookies=True):
        """`target` and the values of `fields` may hold any byte but an end of line."""
        def raw(x):
            return x if isinstance(x, bytes) else x.encode("utf-8", "surrogateescape")
        head = raw(method) + b" " + raw(target) + b" HTTP/1.1\r\nHost: %s:%d\r\n" % (self.host.encode(), self.port)
        if self.cookies and keeps_cookies:
            head += b"Cookie: " + raw("; ".join(f"{k}={v}" for k, v in self.cookies.items())) + b"\r\n"
        for name, value in fields:
            head += raw(name) + b": " + raw(value) + b"\r\n"
        if body is not None:
            head += b"Content-Length: %d\r\n" % len(body)
        for attempt in (0, 1):
            is_old = self.socket is not None
            if not is_old:
                self.socket = self.dial()
            self.n += 1
            try:
                self.socket.sendall(head + b"\r\n" + (body or b""))
            except (BrokenPipeError, ConnectionResetError):
                pass  # it may have answered nevertheless
            try:
                answer, _ = read_answer(self.socket, method == "HEAD")
            except ConnectionResetError:
                answer = None
            if answer is None:
                self.socket.close()
                self.socket = None
                if is_old and attempt == 0:
                    continue
                raise ConnectionError(f"no answer to {method} {target[:100]}")
            break
        if answer.field("connection") == "close":
            self.socket.close()
            self.socket = None
        if keeps_cookies:
            for name, value in answer.fields:
                if name.lower() == "set-cookie":
                    pair = value.split(";")[0].split("=", 1)
                    if pair[1] == "" or "max-age=0" in value.lower():
                        self.cookies.pop(pair[0], None)
                    else:
                        self.cookies[pair[0]] = pair[1]
        return answer

    def get(self, target):
        return self.ask("GET", target)

    def post(self, target, pairs):
        """`pairs`: names and values as text or bytes; bytes are sent as they are (percent-encoded)."""
        body = "&".join(urllib.parse.quote_plus(n) + "=" + urllib.parse.quote_plus(v) for n, v in pairs).encode()
        return self.ask("POST", target, body, [("Content-Type", "application/x-www-form-urlencoded")])

    def fill(self, target, form_action=None, **values):
        """Opens a page and sends its form with some fields changed."""
        action = form_action or target
        form = self.get(target).form(action)
        if form is None:
            raise RuntimeError(f"{target} has no form {action}")
        names = {n for n, _ in form.pairs}
        pairs = [(n, values.get(n, v)) for n, v in form.pairs] + [(n, v) for n, v in values.items() if n not in names]
        return self.post(action, pairs)

    def sign_in(self, link, password="tea with seven ducks"):
        """By a one-time link: sets a password and an authenticator, whose secret is then self.secret, the code that was used self.code. The account's pages begin with self.base."""
        path = "/auth/link/" + link.split("/auth/link/")[1]
        page = self.get(path)
        self.secret = re.search(r"secret=([A-Z2-7]+)", page.text)[1]
        self.code = totp(self.secret)
        a = self.fill(path, path + "/password", password=password, again=password, code=self.code)
        self.signed_in_at = time.time()
        if a.status != 200 or 'id=codes' not in a.text:
            raise RuntimeError(f"the link's form was answered {a.status}: {a.text[:2000]}")
        self.codes = re.search(r"<pre id=codes[^>]*>([^<]*)", a.text)[1].split()
        self.base = next(l for l in a.links if l.startswith("/") and len(l) > 1).split("?")[0]
        self.base = "/" + self.base.split("/")[1]
        a = self.get(self.base + "/overview")
        if a.status != 200:
            raise RuntimeError(f"not signed in: {a.status} {a.field('location')}")
        return a
