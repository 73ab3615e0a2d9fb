"""A mail server (aiosmtpd) for tests/interop/test_mail.sh: mail_server.py FOLDER CERT KEY

Ports, each printed as `NAME PORT` when it listens:
  plain     neither TLS nor login
  starttls  STARTTLS, login required (jo, s3cret), and only inside TLS
  tls       TLS from the first byte, login required
Recipients decide: defer@ gets 451, refuse@ 550, slow@ is answered after a second, die@ ends the connection in the middle of the message.
What is accepted is written to FOLDER/NUMBER.eml with a head line `envelope FROM TO`.
"""
import asyncio, ssl, sys, warnings
from aiosmtpd.smtp import SMTP, AuthResult

warnings.simplefilter("ignore")
folder, cert, key = sys.argv[1:4]
count = 0


def login(server, session, envelope, mechanism, data):
    ok = data.login == b"jo" and data.password == b"s3cret"
    print(f"login {mechanism} {'ok' if ok else 'refused'}", flush=True)
    return AuthResult(success=ok, handled=False if not ok else True)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("defer@"):
            return "451 4.7.1 come back later"
        if address.startswith("refuse@"):
            return "550 5.1.1 no such user here"
        if address.startswith("slow@"):
            await asyncio.sleep(1)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        global count
        if envelope.rcpt_tos[0].startswith("die@"):
            server.transport.abort()
            return "421 gone"
        count += 1
        with open(f"{folder}/{count}.eml", "wb") as f:
            f.write(f"envelope {envelope.mail_from} {' '.join(envelope.rcpt_tos)}\r\n".encode() + envelope.content)
        print(f"mail {count} {envelope.rcpt_tos[0]}", flush=True)
        return f"250 2.0.0 kept as {count}"


async def main():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    loop = asyncio.get_running_loop()
    auth = dict(authenticator=login, auth_required=True, enable_SMTPUTF8=True, loop=loop)
    servers = {
        "plain": (lambda: SMTP(Handler(), enable_SMTPUTF8=True, loop=loop), None),
        "starttls": (lambda: SMTP(Handler(), tls_context=tls, require_starttls=True, **auth), None),
        "tls": (lambda: SMTP(Handler(), auth_require_tls=False, **auth), tls),
    }
    for name, (factory, context) in servers.items():
        server = await loop.create_server(factory, "127.0.0.1", 0, ssl=context)
        print(name, server.sockets[0].getsockname()[1], flush=True)
    print("listening", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
