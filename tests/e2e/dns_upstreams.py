"""Upstream servers with bad manners, for test_dns_proxy.sh.

    dns_upstreams.py liar ADDRESS OTHER_ADDRESS      UDP 53: the first label of the name says how it lies before it tells the truth
    dns_upstreams.py silent ADDRESS                  UDP 53: takes everything, says nothing
    dns_upstreams.py https ADDRESS CERT KEY MODE     TCP 443: DNS over HTTP/1.1 for *.doh.example; MODE `dying` ends each third request unanswered
    dns_upstreams.py burst ADDRESS NAME COUNT        a client: COUNT queries at once; prints how many were answered, until nothing came for a second, and
                                                     within how many ms
    dns_upstreams.py hold ADDRESS NAME COUNT         a client: COUNT TCP connections at once, a query on each; prints how many were answered
"""
import base64
import http.server
import socket
import ssl
import struct
import sys
import time
import urllib.parse


def question_end(message):
    at = 12
    while message[at]:
        at += 1 + message[at]
    return at + 5


def name_of(message):
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode().lower())
        at += 1 + message[at]
    return labels


def wire(name):
    return b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0"


def record(owner, kind, data, ttl=60):
    return owner + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def answer(query, address=b"\x0a\x09\x09\x09", records=None, ident=None, question=None, count=None):
    records = [record(b"\xc0\x0c", 1, address)] if records is None else records
    head = query[:2] if ident is None else ident
    question = query[12:question_end(query)] if question is None else question
    counts = struct.pack(">HHHH", 1, len(records) if count is None else count, 0, 0)
    return head + b"\x81\x80" + counts + question + b"".join(records)


def liar(address, other):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, 53))
    elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    elsewhere.bind((other, 53))
    false = b"\x06\x06\x06\x06"
    while True:
        query, peer = s.recvfrom(4096)
        how = name_of(query)[0]
        wrong_id = bytes([query[0] ^ 255, query[1]])
        if how == "id":
            for i in range(200):
                s.sendto(answer(query, false, ident=struct.pack(">H", i) if i.to_bytes(2, "big") != query[:2] else wrong_id), peer)
        elif how == "question":
            s.sendto(answer(query, false, question=wire("other.lie.example") + b"\0\1\0\1"), peer)
        elif how == "sender":
            elsewhere.sendto(answer(query, false), peer)
        elif how == "million":
            s.sendto(answer(query, false, count=65535), peer)
        elif how == "rubbish":
            s.sendto(query[:2] + b"\x81\x80" + bytes(range(256)), peer)
        elif how == "echo":
            s.sendto(query, peer)
        elif how == "loop":
            a, b = wire("loop.lie.example"), wire("back.lie.example")
            s.sendto(answer(query, records=[record(a, 5, b), record(b, 5, a)]), peer)
            continue
        elif how == "pointer":
            s.sendto(answer(query, records=[record(b"\xc0" + bytes([question_end(query)]), 1, false)]), peer)
        elif how == "never":
            s.sendto(answer(query, false, ident=wrong_id), peer)
            continue
        time.sleep(0.02)
        s.sendto(answer(query), peer)


def silent(address):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, 53))
    while True:
        s.recv(4096)


def https(address, cert, key, mode):
    asked = 0

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            nonlocal asked
            asked += 1
            if mode == "dying" and asked % 3 == 0:
                self.close_connection = True
                self.connection.close()
                return
            text = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)["dns"][0]
            body = answer(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), b"\x0a\x08\x08\x08")
            self.send_response(200)
            self.send_header("Content-Type", "application/dns-message")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = http.server.ThreadingHTTPServer((address, 443), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *args: None
    server.serve_forever()


def burst(address, name, count):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    began = last = time.monotonic()
    for i in range(int(count)):
        s.sendto(struct.pack(">HHHHHH", i, 0x100, 1, 0, 0, 0) + wire(name) + b"\0\1\0\1", (address, 53))
    s.settimeout(20)  # for the first
    answered = 0
    try:
        while True:
            s.recv(4096)
            answered += 1
            last = time.monotonic()
            s.settimeout(1)
    except socket.timeout:
        print(answered, int((last - began) * 1000))


def hold(address, name, count):
    query = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + wire(name) + b"\0\1\0\1"
    held, answered = [], 0
    for _ in range(int(count)):
        s = socket.create_connection((address, 53), 20)
        held.append(s)
    for s in held:
        try:
            s.sendall(struct.pack(">H", len(query)) + query)
            answered += len(s.recv(4096)) > 12
        except OSError:
            pass
    print(answered, flush=True)
    time.sleep(3)


{"liar": liar, "silent": silent, "https": https, "burst": burst, "hold": hold}[sys.argv[1]](*sys.argv[2:])
