"""A portal of the python websockets server for our link: prints `port N`, then what it hears, a line each."""
import asyncio, json, sys
import websockets

REPLY = '{"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":%d,"topic":"%s"}'
INIT = {"event": "init", "topic": "gateway", "ref": None, "payload": {"interface": {"ipv4": "100.64.0.1", "ipv6": "fd00:2021:1111::1"},
        "config": {"ipv4_masquerade_enabled": True, "ipv6_masquerade_enabled": True},
        "authorizations": [{"client_id": "4e500000-0000-4000-8000-%012d" % i, "resource_id": "4e500000-0000-4000-8000-000000000001", "expires_at": 1900000000}
                           for i in range(2000)]}}


async def serve(ws):
    print("path", ws.path, flush=True)
    async for text in ws:
        frame = json.loads(text)
        print(frame["event"], frame["ref"], flush=True)
        if frame["event"] in ("phx_join", "heartbeat", "flow_authorized"):
            await ws.send(REPLY % (frame["ref"], frame["topic"]))
        if frame["event"] == "phx_join":
            init = json.dumps(INIT)
            await ws.send([init[i : i + 1000] for i in range(0, len(init), 1000)])  # fragments
            await ws.ping()
        if frame["event"] == "broadcast_ice_candidates":
            print("candidates", len(frame["payload"]["candidates"]), flush=True)
            await ws.close(1012)


async def main():
    async with websockets.serve(serve, "127.0.0.1", 0, compression=None) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


asyncio.run(main())
