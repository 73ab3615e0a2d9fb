"""A portal as one relay sees it, for tests of the relay's program: stub_portal.py PORT MODE-FILE LOG-FILE.

MODE-FILE is read at each connection: ok | 401 | 503 | token_expired | close_after_join (refuses nothing, hangs up after 0.3 s).
LOG-FILE gets one JSON object per upgrade and per frame from the relay.
"""
import asyncio
import base64
import hashlib
import json
import struct
import sys

port, mode_file, log_file = int(sys.argv[1]), sys.argv[2], sys.argv[3]


def note(**fields):
    with open(log_file, "a") as f:
        f.write(json.dumps(fields) + "\n")


def frame(text):
    data = text.encode()
    size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack(">H", len(data))
    return b"\x81" + size + data


async def read_frame(reader):
    head = await reader.readexactly(2)
    size = head[1] & 0x7F
    if size == 126:
        size = struct.unpack(">H", await reader.readexactly(2))[0]
    mask = await reader.readexactly(4) if head[1] & 0x80 else b"\0\0\0\0"
    data = bytes(b ^ mask[i % 4] for i, b in enumerate(await reader.readexactly(size)))
    return head[0] & 0x0F, data


async def serve(reader, writer):
    try:
        request = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {k.lower(): v for k, v in (h.split(": ", 1) for h in request[1:] if ": " in h)}
        if "sec-websocket-key" not in headers:  # somebody asks whether we are up
            writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
            return
        mode = open(mode_file).read().strip()
        note(upgrade=request[0], authorization=headers.get("x-authorization"), agent=headers.get("user-agent"), mode=mode)
        if mode in ("401", "503"):
            writer.write(f"HTTP/1.1 {mode} No\r\nContent-Length: 0\r\n\r\n".encode())
            return
        accept = hashlib.sha1((headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            + base64.b64encode(accept) + b"\r\n\r\n"
        )
        while True:
            kind, data = await read_frame(reader)
            if kind != 1:
                return
            message = json.loads(data)
            note(frame=message)
            reply = {"event": "phx_reply", "payload": {"response": {}, "status": "ok"}, "ref": message["ref"],
                     "topic": message["topic"]}
            writer.write(frame(json.dumps(reply)))
            if message["event"] != "phx_join":
                continue
            writer.write(frame(json.dumps({"event": "init", "payload": {}, "ref": None, "topic": "relay"})))
            if mode == "token_expired":
                await asyncio.sleep(0.3)
                writer.write(frame(json.dumps(
                    {"event": "disconnect", "payload": {"reason": "token_expired"}, "ref": None, "topic": "relay"})))
            if mode == "close_after_join":
                await asyncio.sleep(0.3)
                return
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main())
