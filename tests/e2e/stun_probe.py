"""STUN Binding over UDP: stun_probe.py HOST PORT wait SECONDS     until the first answer; prints when it came, in Unix seconds; `asking` to stderr before
                       stun_probe.py HOST PORT flood SECONDS    one a 20 ms under a flood of data, 60 at least; prints answered and asked
"""
import os
import socket
import struct
import sys
import threading
import time

host, port, word, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
began = time.monotonic()


def ask(sock, timeout):
    txid = os.urandom(12)
    sock.settimeout(timeout)
    try:
        sock.send(struct.pack(">HHI", 1, 0, 0x2112A442) + txid)
        while True:
            data = sock.recv(2048)
            if data[:2] == b"\x01\x01" and data[8:20] == txid:
                return True
    except (TimeoutError, ConnectionRefusedError):
        return False


def flood(over):
    """ChannelData of nobody, in runs of 48 datagrams that one system call sends."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((host, port))
    run = (struct.pack(">HH", 0x4000, 1312) + bytes(1312)) * 48
    while not over.is_set():
        try:
            sock.sendmsg([run], [(socket.IPPROTO_UDP, 103, struct.pack("=H", 1316))])
        except (BlockingIOError, ConnectionRefusedError, OSError):
            pass


sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.connect((host, port))
if word == "wait":
    print("asking", file=sys.stderr, flush=True)
    while time.monotonic() - began < seconds:
        if ask(sock, 0.005):
            print(f"{time.time():.4f}")
            sys.exit(0)
        time.sleep(0.001)
    sys.exit(1)
over = threading.Event()
threads = [threading.Thread(target=flood, args=(over,)) for _ in range(2)]
for t in threads:
    t.start()
asked = answered = 0
while time.monotonic() - began < seconds or asked < 60:
    asked += 1
    answered += ask(sock, 0.5)
    time.sleep(0.02)
over.set()
for t in threads:
    t.join()
print(answered, asked)
