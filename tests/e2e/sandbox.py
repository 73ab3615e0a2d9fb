#!/usr/bin/env python3
"""Runs a command under the restrictions of Firezone's systemd units that need a seccomp filter or a process flag, without systemd:

    sandbox.py COMMAND ARGUMENT…

RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK: socket() of any other family fails with EAFNOSUPPORT.
MemoryDenyWriteExecute=yes: memory that was writable never becomes executable, and none is both.
RestrictNamespaces=yes: unshare() and setns() fail with EPERM.
"""
import ctypes
import os
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_SET_MDWE, SECCOMP_MODE_FILTER = 38, 22, 65, 2
LD, JEQ, RET = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
EPERM, EAFNOSUPPORT = 1, 97
CALLS = {"x86_64": (0xC000003E, 41, 272, 308), "aarch64": (0xC00000B7, 198, 97, 268)}
ARCH, SOCKET, UNSHARE, SETNS = CALLS[os.uname().machine]


def step(code, k, jump_true=0, jump_false=0):
    return struct.pack("HBBI", code, jump_true, jump_false, k)


program = b"".join(
    [
        step(LD, 4),  # architecture
        step(JEQ, ARCH, 0, 9),
        step(LD, 0),  # number of the call
        step(JEQ, UNSHARE, 8, 0),
        step(JEQ, SETNS, 7, 0),
        step(JEQ, SOCKET, 0, 4),
        step(LD, 16),  # its first argument
        step(JEQ, 2, 2, 0),
        step(JEQ, 10, 1, 0),
        step(JEQ, 16, 0, 3),
        step(RET, ALLOW),
        step(RET, ALLOW),
        step(RET, ERRNO | EPERM),
        step(RET, ERRNO | EAFNOSUPPORT),
    ]
)
buffer = ctypes.create_string_buffer(program)
fprog = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))

if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
    sys.exit("sandbox: no_new_privs")
if libc.prctl(PR_SET_MDWE, 1, 0, 0, 0):
    print("sandbox: this kernel has no PR_SET_MDWE", file=sys.stderr)  # before 6.3
if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog, 0, 0):
    sys.exit("sandbox: seccomp: " + os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[1], sys.argv[1:])
