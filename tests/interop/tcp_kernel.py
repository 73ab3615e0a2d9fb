"""The kernel's TCP as peer of tests/interop/tcp_driver.c.

    tcp_kernel.py echo ADDRESS BYTES     sends BYTES to port 7, ends, expects them back and the end
    tcp_kernel.py dns ADDRESS RECORDS    one DNS query per number, all on one connection, the next one before the answer to the last
    tcp_kernel.py many ADDRESS           ten connections answer, the eleventh is reset; after one ended, another is accepted
    tcp_kernel.py serve ADDRESS PORT     for `tcp_driver fetch`; prints `ready`
    tcp_kernel.py slow ADDRESS BYTES     as echo, but reads slowly with a small receive buffer
"""
import random
import socket
import struct
import sys
import threading
import time


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def connect(address, port, receive_buffer=None):
    s = socket.socket(family(address), socket.SOCK_STREAM)
    s.settimeout(60)
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    s.connect((address, port))
    return s


def read_all(s, chunk=65536, pause=0.0):
    got = bytearray()
    while True:
        data = s.recv(chunk)
        if not data:
            return bytes(got)
        got += data
        time.sleep(pause)


def echo(address, size, slow=False):
    data = random.Random(size).randbytes(size)
    s = connect(address, 7, 4096 if slow else None)

    def send():
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    got = read_all(s, 1500, 0.001) if slow else read_all(s)
    sender.join()
    assert got == data, f"sent {len(data)}, got {len(got)}"


def query(number, ident):
    name = b"".join(bytes([len(x)]) + x for x in (b"%d-records" % number, b"example"))
    message = struct.pack(">HHHHHH", ident, 0x0100, 1, 0, 0, 0) + name + b"\0" + struct.pack(">HH", 16, 1)
    return struct.pack(">H", len(message)) + message


def exactly(s, n):
    got = b""
    while len(got) < n:
        data = s.recv(n - len(got))
        assert data, "ended early"
        got += data
    return got


def dns(address, numbers):
    s = connect(address, 53)
    s.sendall(b"".join(query(n, i) for i, n in enumerate(numbers)))
    for i, n in enumerate(numbers):
        message = exactly(s, struct.unpack(">H", exactly(s, 2))[0])
        ident, _, _, answers = struct.unpack(">HHHH", message[:8])
        assert (ident, answers) == (i, n), (ident, answers)
        assert len(message) > n * 253
    s.close()


def many(address):
    held = [connect(address, 7) for _ in range(10)]
    for i, s in enumerate(held):
        s.sendall(b"%d" % i)
        assert exactly(s, 1) == b"%d" % i
    try:
        connect(address, 7)
        raise AssertionError("the eleventh was accepted")
    except ConnectionRefusedError:
        pass
    held.pop().close()
    for _ in range(50):
        try:
            s = connect(address, 7)
            s.sendall(b"x")
            assert exactly(s, 1) == b"x"
            return
        except (ConnectionRefusedError, ConnectionResetError):
            time.sleep(0.1)
    raise AssertionError("none is accepted any more")


def serve(address, port):
    listener = socket.create_server((address, port), family=family(address), dualstack_ipv6=address == "::")
    print("ready", flush=True)
    while True:
        s, _ = listener.accept()
        n = int(read_all(s))
        s.sendall(bytes((i * 7 + (i >> 8)) & 255 for i in range(n)))
        s.close()


what, where = sys.argv[1:3]
if what == "echo":
    echo(where, int(sys.argv[3]))
elif what == "slow":
    echo(where, int(sys.argv[3]), slow=True)
elif what == "dns":
    dns(where, [int(n) for n in sys.argv[3:]])
elif what == "many":
    many(where)
elif what == "serve":
    serve(where, int(sys.argv[3]))
