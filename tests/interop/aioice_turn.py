"""aioice's TURN client against a relay: aioice_turn.py HOST PORT USER PASSWORD. Prints `ok NAME` or `not ok NAME`."""
import asyncio
import sys

from aioice import turn

host, port, user, password = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
suffix = "_ipv6" if ":" in host else ""


class Queue(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = asyncio.Queue()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.received.put_nowait((data, addr))


def verdict(name, is_ok):
    print(("ok" if is_ok else "not ok") + " aioice_" + name + suffix, flush=True)


async def main():
    loop = asyncio.get_running_loop()
    peer_transport, peer = await loop.create_datagram_endpoint(Queue, local_addr=("127.0.0.1", 0))  # RFC 8656: IPv4 unless asked
    transport, client = await turn.create_turn_endpoint(
        Queue, server_addr=(host, port), username=user, password=password, lifetime=20, channel_refresh_time=3
    )
    relayed = transport.get_extra_info("sockname")
    verdict("allocates", relayed[0] in ("127.0.0.1", "::1") and relayed[1] > 0)

    lost = 0
    for i in range(200):
        data = bytes([i]) * (i * 6 % 1200 + 1)
        transport.sendto(data, peer_transport.get_extra_info("sockname")[:2])
        try:
            got, addr = await asyncio.wait_for(peer.received.get(), 10)
            lost += got != data or addr[1] != relayed[1]
            peer_transport.sendto(data[::-1] + b"!", addr)
            got, addr = await asyncio.wait_for(client.received.get(), 10)
            lost += got != data[::-1] + b"!"
        except asyncio.TimeoutError:
            lost += 1
    verdict("exchanges_data", lost == 0)

    await asyncio.sleep(18)  # past a refresh of the allocation (5/6 of 20 s) and several of the channel
    transport.sendto(b"still there?", peer_transport.get_extra_info("sockname")[:2])
    try:
        got, _ = await asyncio.wait_for(peer.received.get(), 10)
        verdict("refreshes", got == b"still there?")
    except asyncio.TimeoutError:
        verdict("refreshes", False)
    transport.close()
    await asyncio.sleep(0.2)


asyncio.run(asyncio.wait_for(main(), 120))
