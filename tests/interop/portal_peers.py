"""Clients, gateways and relays that join and stay: portal_peers.py [--host ADDRESS] PORT ROLE=TOKEN… Prints "joined ROLE", what is sent to them, and
"closed" for each that is; ends with the last of them, or by a signal."""
import base64, json, os, select, socket, struct, sys, time


def frame(text):
    data = text.encode()
    size = struct.pack(">BB", 0x81, 0x80 | len(data)) if len(data) < 126 else struct.pack(">BBH", 0x81, 0xfe, len(data))
    return size + bytes(4) + data


class Peer:
    def __init__(self, port, role, token, number=0, host="127.0.0.1", name=None):
        key = base64.b64encode(struct.pack(">I", number) + role.encode()[:8].ljust(28, b"k")).decode()
        name = name or f"{role}{number}"
        query = f"vsn=1.0.0&token={token}&external_id={name}&name={name}&public_key={key}".replace("+", "%2B")
        if role == "relay":
            query = f"vsn=1.0.0&token={token}&ipv4=203.0.113.{number + 2}&port=3478&name={name}&stamp_secret=secret"
        program = {"client": "headless-client", "gateway": "gateway", "relay": "relay"}[role]
        self.role, self.buffer, self.is_joined, self.ref = role, b"", False, 2
        self.socket = socket.create_connection((host, port), 20)
        self.socket.sendall((f"GET /{role}/websocket?{query} HTTP/1.1\r\nHost: x\r\nUser-Agent: Linux/6 {program}/1.5.8\r\nConnection: Upgrade\r\n"
                             "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.buffer:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionError(f"{role}: {self.buffer[:500]!r}")
            self.buffer += piece
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise ConnectionError(f"{role}: {head!r} {self.buffer!r}")
        self.send(role, "phx_join", {"stamp_secret": "secret"} if role == "relay" else {}, ref="1")
        end = time.time() + 20
        while not self.is_joined and time.time() < end:
            self.socket.settimeout(max(0.1, end - time.time()))
            self.take(self.socket.recv(65536))

    def send(self, topic, event, payload, ref=None):
        self.ref += 1
        self.socket.sendall(frame(json.dumps({"topic": topic, "event": event, "payload": payload, "ref": ref or str(self.ref), "join_ref": "1"})))

    def heartbeat(self):
        self.send("phoenix", "heartbeat", {})

    def stay(self):
        """Takes what comes and shows signs of life until the connection ends; why it did."""
        try:
            while True:
                self.socket.settimeout(5)
                try:
                    self.take(self.socket.recv(65536))
                except TimeoutError:
                    self.heartbeat()
        except OSError as e:
            return str(e)

    def take(self, data):
        """The messages in it; ConnectionError when it is the end."""
        if not data:
            raise ConnectionError(f"{self.role}: closed")
        self.buffer += data
        out = []
        while len(self.buffer) >= 2:
            size, at = self.buffer[1] & 127, 2
            if size == 126:
                size, at = struct.unpack(">H", self.buffer[2:4])[0] if len(self.buffer) >= 4 else 1 << 30, 4
            elif size == 127:
                size, at = struct.unpack(">Q", self.buffer[2:10])[0] if len(self.buffer) >= 10 else 1 << 30, 10
            if len(self.buffer) < at + size:
                break
            opcode, body, self.buffer = self.buffer[0] & 15, self.buffer[at:at + size], self.buffer[at + size:]
            if opcode == 8:
                raise ConnectionError(f"{self.role}: closed with {struct.unpack('>H', body[:2])[0] if len(body) >= 2 else 0} {body[2:]!r}")
            if opcode == 1:
                message = json.loads(body)
                self.is_joined = self.is_joined or message.get("event") in ("phx_reply", "init")
                out.append(message)
        return out


if __name__ == "__main__":
    args, peers, host = sys.argv[1:], [], "127.0.0.1"
    if args[0] == "--host":
        host, args = args[1], args[2:]
    for i, arg in enumerate(args[1:]):
        role, token = arg.split("=", 1)
        peers.append(Peer(int(args[0]), role, token, i, host))
        print("joined", role, flush=True)
    beat = time.time() + 20
    while peers:
        ready, _, _ = select.select([p.socket for p in peers], [], [], 1)
        for p in list(peers):
            try:
                if p.socket in ready:
                    for message in p.take(p.socket.recv(65536)):
                        print("got", p.role, message.get("event"), flush=True)
                elif time.time() > beat:
                    p.heartbeat()
            except OSError as e:
                print("closed", e, flush=True)
                peers.remove(p)
        if time.time() > beat:
            beat = time.time() + 20
