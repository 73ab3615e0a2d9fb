"""The python websockets client against our portal end: one test a word in argv, `ok NAME` or `not ok NAME` a line."""
import asyncio, json, ssl, sys
import websockets

url, ca = sys.argv[1], sys.argv[2]
QUERY = "?external_id=py&name=p&public_key=nCo2pSX8wJmBV0XMtiUvJlU2fD2xRlB6EktYsfo3yA0%3D"
HEADERS = {"x-authorization": "Bearer t", "user-agent": "Debian/12.0.0 headless-client/1.5.8"}
UUID = "4e500000-0000-4000-8000-000000000001"


def connect(path="/client/websocket" + QUERY, **kw):
    context = None
    if url.startswith("wss"):
        context = ssl.create_default_context(cafile=ca)
    return websockets.connect(url + path, extra_headers=HEADERS, ssl=context, open_timeout=20, close_timeout=20, ping_interval=None, **kw)


async def recv(ws):
    return json.loads(await asyncio.wait_for(ws.recv(), 20))


async def join(ws):
    await ws.send(json.dumps({"topic": "client", "event": "phx_join", "payload": None, "ref": 0}))
    reply, init = await recv(ws), await recv(ws)
    assert reply == {"event": "phx_reply", "payload": {"response": {}, "status": "ok"}, "ref": 0, "topic": "client"}, reply
    assert init["event"] == "init" and init["ref"] is None and init["payload"]["interface"]["ipv4"] == "100.64.0.2", init


async def join_gets_reply_then_init():
    async with connect() as ws:
        await join(ws)


async def token_in_the_query_works():
    HEADERS.pop("x-authorization")
    try:
        async with connect("/client/websocket" + QUERY + "&token=t") as ws:
            await join(ws)
    finally:
        HEADERS["x-authorization"] = "Bearer t"


async def heartbeat_is_answered():
    async with connect() as ws:
        await join(ws)
        await ws.send('{"topic":"phoenix","event":"heartbeat","payload":{},"ref":1}')
        assert await recv(ws) == {"event": "phx_reply", "payload": {"response": {}, "status": "ok"}, "ref": 1, "topic": "phoenix"}


async def messages_in_fragments_arrive():
    async with connect() as ws:
        await join(ws)
        text = json.dumps({"topic": "client", "event": "create_flow", "payload": {"resource_id": UUID, "connected_gateway_ids": []}, "ref": 1})
        await ws.send([text[i : i + 7] for i in range(0, len(text), 7)])
        got = await recv(ws)
        assert got["event"] == "flow_creation_failed" and got["payload"]["reason"] == "offline" and got["payload"]["resource_id"] == UUID, got


async def large_messages_arrive():
    async with connect() as ws:
        await join(ws)
        gateways = ["00000000-0000-4000-8000-%012d" % i for i in range(3000)]
        await ws.send(json.dumps({"topic": "client", "event": "create_flow", "payload": {"resource_id": UUID, "connected_gateway_ids": gateways}, "ref": 1}))
        assert (await recv(ws))["event"] == "flow_creation_failed"


async def ping_is_answered_and_close_is_clean():
    async with connect() as ws:
        await join(ws)
        await asyncio.wait_for(await ws.ping(b"hello"), 20)
        await ws.close(1000, "bye")
        assert ws.close_code == 1000, ws.close_code


async def unknown_events_draw_an_error_reply():
    async with connect() as ws:
        await join(ws)
        await ws.send('{"topic":"client","event":"no_such_thing","payload":{},"ref":1}')
        got = await recv(ws)
        assert got["payload"] == {"response": {"reason": "unknown_message"}, "status": "error"} and got["ref"] == 1, got
        await ws.send('{"topic":"gateway","event":"x","payload":{},"ref":2}')
        got = await recv(ws)
        assert got["payload"] == {"response": {"reason": "unmatched topic"}, "status": "error"}, got


async def compression_is_not_negotiated():
    async with connect(compression="deflate") as ws:
        assert not ws.extensions
        await join(ws)


async def frames_without_their_keys_end_the_connection():
    async with connect() as ws:
        await ws.send('{"topic":"client","event":"phx_join","ref":0}')
        try:
            await recv(ws)
            raise AssertionError("still open")
        except websockets.ConnectionClosed:
            pass


async def other_paths_are_refused():
    for path, status in (("/nowhere", 404), ("/client/websocket" + QUERY + "&vsn=2.0.0", 403)):
        try:
            async with connect(path):
                raise AssertionError("accepted " + path)
        except websockets.InvalidStatusCode as e:
            assert e.status_code == status, e.status_code


for test in (join_gets_reply_then_init, token_in_the_query_works, heartbeat_is_answered, messages_in_fragments_arrive, large_messages_arrive,
             ping_is_answered_and_close_is_clean, unknown_events_draw_an_error_reply, compression_is_not_negotiated,
             frames_without_their_keys_end_the_connection, other_paths_are_refused):
    name = "websocket_py_%s_%s" % (url.split(":")[0], test.__name__)
    try:
        asyncio.run(test())
        print("ok", name, flush=True)
    except Exception as e:
        print("not ok %s: %r" % (name, e), flush=True)
