"""What hostile peers do to a portal's sockets: hostile.py ADDRESS PORT DEED [N]. Each deed prints what came of it and ends with 1 when that is not as
it should be. Deeds:
  smuggle      requests that two readers could understand differently, each followed by one more that must not be answered
  heads N      connections that send a head byte by byte      bodies N      the same with bodies      idle N      that say nothing
  hold N       opens N, prints how many are open once the last is answered or closed, waits for a line, closes them"""
import selectors, socket, sys, time

address, port, deed = sys.argv[1], int(sys.argv[2]), sys.argv[3]
n = int(sys.argv[4]) if len(sys.argv) > 4 else 0


def dial():
    return socket.create_connection((address, port), 10)


def smuggle():
    second = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    post = b"POST /sign_up HTTP/1.1\r\nHost: x\r\n"
    chunked = post + b"Transfer-Encoding: chunked\r\n\r\n"
    cases = {
        "length and coding": post + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "coding and length": post + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "two lengths": post + b"Content-Length: 3\r\nContent-Length: 0\r\n\r\nabc",
        "equal lengths": post + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "length list": post + b"Content-Length: 3, 3\r\n\r\nabc",
        "fold": post + b"X: 1\r\n Content-Length: 3\r\n\r\nabc",
        "fold of coding": post + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        "bare LF": post.replace(b"\r\n", b"\n") + b"\n",
        "bare LF in a field": post + b"X: 1\nContent-Length: 3\r\n\r\nabc",
        "bare CR": post + b"X: 1\rContent-Length: 3\r\n\r\nabc",
        "space before the colon": post + b"Content-Length : 3\r\n\r\nabc",
        "tab before the colon": post + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
        "unknown coding": post + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "chunk with LF": chunked + b"3\nabc\r\n0\r\n\r\n",
        "chunk too long": chunked + b"3\r\nabcd\r\n0\r\n\r\n",
        "LF in an extension": chunked + b"3;a\nb\r\nabc\r\n0\r\n\r\n",
        "endless extension": chunked + b"3;" + b"x" * 5000 + b"\r\nabc\r\n0\r\n\r\n",
        "size with a sign": chunked + b"+3\r\nabc\r\n0\r\n\r\n",
        "NUL in a field": post + b"X: a\0b\r\n\r\n",
        "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
        "two hosts": b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "head without end": post + b"X: " + b"x" * 20000,
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    }
    bad = 0
    for name, request in cases.items():
        for step in (len(request) + len(second), 1 if len(request) < 500 else 300):  # at once, and in the smallest pieces
            with dial() as s:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                got, data = b"", request + second
                try:
                    for i in range(0, len(data), step):
                        s.sendall(data[i:i + step])
                except OSError:
                    pass
                try:
                    while piece := s.recv(65536):
                        got += piece
                except ConnectionResetError:
                    pass
                status = got[9:12].decode("latin-1")
                if got.count(b"HTTP/1.1 ") != 1 or status not in ("400", "413", "431", "501", "505"):
                    bad += 1
                    print(name, "in steps of", step, "was answered", got[:200], got.count(b"HTTP/1.1 "))
    print(len(cases), "cases,", bad, "bad")
    return bad


def dribble(head, pause):
    """All are closed by the portal, however long they would go on; how long that took."""
    selector, opened, closed, began = selectors.DefaultSelector(), [], 0, time.time()
    for _ in range(n):
        s = dial()
        s.setblocking(False)
        selector.register(s, selectors.EVENT_READ)
        opened.append(s)
        if head:
            s.send(head)
    print("opened", len(opened), flush=True)
    due = time.time()
    while selector.get_map() and time.time() < began + 60:
        for key, _ in selector.select(0.1):
            try:
                over = not key.fileobj.recv(65536)
            except OSError:
                over = True
            if over:
                selector.unregister(key.fileobj)
                key.fileobj.close()
                closed += 1
        if pause and time.time() >= due:
            due = time.time() + pause
            for key in list(selector.get_map().values()):
                try:
                    key.fileobj.send(b"x")
                except OSError:
                    pass
    print(f"{closed} of {n} were closed within {time.time() - began:.0f} s")
    return closed != n


def hold():
    opened = []
    for _ in range(n):
        try:
            s = dial()
            s.setblocking(False)
            opened.append(s)
        except OSError:
            pass
    # they are accepted in this order: when the last one is answered or closed, all others were dealt with
    try:
        opened[-1].settimeout(30)
        opened[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while b"}" not in answer:
            piece = opened[-1].recv(65536)
            if not piece:
                break
            answer += piece
    except OSError:
        pass
    opened[-1].setblocking(False)
    alive = []
    for s in opened:
        try:
            if not s.recv(1):
                continue
        except BlockingIOError:
            alive.append(s)
        except OSError:
            continue
    print("open", len(alive), flush=True)
    sys.stdin.readline()
    return 0


if deed == "smuggle":
    sys.exit(bool(smuggle()))
if deed == "hold":
    sys.exit(hold())
head = {"heads": b"GET /sign_up HTTP/1.1\r\nX: ", "bodies": b"POST /sign_up HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", "idle": b""}[deed]
sys.exit(dribble(head, 1 if head else 0))
