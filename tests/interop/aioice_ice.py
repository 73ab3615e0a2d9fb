"""aioice's ICE connection against our agent: aioice_ice.py ICE_DRIVER. Prints `ok NAME` or `not ok NAME`."""
import asyncio
import sys

import aioice
import aioice.ice

DRIVER = sys.argv[1]
PWD = "a-password-of-22-chars"


class Driver:
    async def start(self, role, address, ufrag, peer, password=PWD):
        self.lines, self.candidate = [], None
        self.news = asyncio.Event()
        self.process = await asyncio.create_subprocess_exec(
            DRIVER, role, address, ufrag, password, peer.local_username, peer.local_password,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        self.reader = asyncio.create_task(self.read())
        self.candidate = (await self.wait("candidate "))[len("candidate candidate:"):]

    async def read(self):
        while line := await self.process.stdout.readline():
            self.lines.append(line.decode().strip())
            self.news.set()

    async def wait(self, prefix, seconds=20, skip=0):
        async def look():
            while True:
                found = [line for line in self.lines if line.startswith(prefix)]
                if len(found) > skip:
                    return found[skip]
                self.news.clear()
                await self.news.wait()
        return await asyncio.wait_for(look(), seconds)

    def tell(self, line):
        self.process.stdin.write(line.encode() + b"\n")

    async def stats(self):
        have = len([line for line in self.lines if line.startswith("stats")])
        self.tell("stats")
        words = (await self.wait("stats", skip=have)).split()[1:]
        return {k: int(v) for k, v in (w.split("=") for w in words)}

    async def stop(self):
        self.tell("quit")
        await self.process.wait()
        await self.reader


async def gathered(controlling, address):
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [address]
    connection = aioice.Connection(ice_controlling=controlling, stun_server=None, use_ipv4="." in address, use_ipv6=":" in address)
    connection.remote_username, connection.remote_password = "ours", PWD
    await connection.gather_candidates()
    return connection


async def pair(we_control, address="127.0.0.1", is_told=True, password=PWD):
    connection = await gathered(not we_control, address)
    driver = Driver()
    host = f"[{address}]" if ":" in address else address
    await driver.start("controlling" if we_control else "controlled", host + ":0", "ours", connection, password)
    for candidate in connection.local_candidates:
        driver.tell("remote candidate:" + candidate.to_sdp())
    if is_told:
        await connection.add_remote_candidate(aioice.Candidate.from_sdp(driver.candidate))
    return connection, driver


async def exchange(connection, count=20):
    for i in range(count):
        await connection.send(b"packet %d" % i)
        if await asyncio.wait_for(connection.recv(), 10) != b"echo packet %d" % i:
            return False
    return True


async def established(we_control, address="127.0.0.1"):
    connection, driver = await pair(we_control, address)
    await connection.add_remote_candidate(None)
    await asyncio.wait_for(connection.connect(), 20)
    await driver.wait("selected ")
    is_ok = await exchange(connection)
    stats = await driver.stats()
    await connection.close()
    await driver.stop()
    return is_ok and stats["successes"] > 0 and stats["rejected"] == 0


async def trickled():
    """We are told first and check from an address that aioice does not know yet."""
    connection, driver = await pair(True, is_told=False)
    connecting = asyncio.create_task(connection.connect())
    await asyncio.sleep(0.7)
    await connection.add_remote_candidate(aioice.Candidate.from_sdp(driver.candidate))
    await connection.add_remote_candidate(None)
    await asyncio.wait_for(connecting, 20)
    is_ok = await exchange(connection)
    await connection.close()
    await driver.stop()
    return is_ok


async def peer_reflexive():
    """aioice is never told where we are."""
    connection, driver = await pair(True, is_told=False)
    await asyncio.wait_for(connection.connect(), 20)
    is_ok = await exchange(connection)
    await connection.close()
    await driver.stop()
    return is_ok


async def consent():
    """aioice asks for consent every 5 s and gives up when it gets none."""
    connection, driver = await pair(False)
    await connection.add_remote_candidate(None)
    await asyncio.wait_for(connection.connect(), 20)
    before = await driver.stats()
    is_ok = False
    for _ in range(40):  # 5 s are 4 to 6
        await asyncio.sleep(0.5)
        is_ok = (await driver.stats())["checks_received"] >= before["checks_received"] + 2
        if is_ok:
            break
    await asyncio.sleep(0.5)
    is_ok = is_ok and await exchange(connection)
    await connection.close()
    await driver.stop()
    return is_ok


async def moved():
    """Our address changes under the connection, as behind a NAT that forgot: we check on, aioice follows."""
    connection, driver = await pair(True)
    await connection.add_remote_candidate(None)
    await asyncio.wait_for(connection.connect(), 20)
    is_ok = await exchange(connection)
    driver.tell("rebind")
    for i in range(100):  # until the first one comes back by the new way
        await connection.send(b"knock %d" % i)
        try:
            await asyncio.wait_for(connection.recv(), 0.2)
            break
        except asyncio.TimeoutError:
            pass
    await asyncio.sleep(1)
    while connection._queue.qsize():  # answers to other knocks
        connection._queue.get_nowait()
    is_ok = is_ok and await exchange(connection)
    await connection.close()
    await driver.stop()
    return is_ok


async def wrong_password():
    """aioice signs with another password than ours."""
    connection, driver = await pair(True, password="another-password-22-ch")
    await connection.add_remote_candidate(None)
    try:
        await asyncio.wait_for(connection.connect(), 3)
        is_ok = False
    except (ConnectionError, asyncio.TimeoutError):
        stats = await driver.stats()
        is_ok = stats["rejected"] > 0 and stats["answers_sent"] == 0
    await connection.close()
    await driver.stop()
    return is_ok


async def main():
    tests = [
        ("we_control", lambda: established(True)),
        ("they_control", lambda: established(False)),
        ("we_control_ipv6", lambda: established(True, "::1")),
        ("they_control_ipv6", lambda: established(False, "::1")),
        ("trickled_candidates", trickled),
        ("we_are_peer_reflexive", peer_reflexive),
        ("we_move", moved),
        ("consent_is_answered", consent),
        ("wrong_password_is_refused", wrong_password),
    ]
    for name, test in tests:
        try:
            is_ok = await asyncio.wait_for(test(), 60)
        except Exception as e:  # whatever it is, the next test still counts
            print(f"    {type(e).__name__}: {e}")
            is_ok = False
        print(("ok" if is_ok else "not ok") + " aioice_ice_" + name, flush=True)


asyncio.run(main())
