#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stands in for qemu-system-ARCH: a machine whose guest does what a scenario says, without a machine.

    fake-qemu.py SCENARIO [what gondolin gives to QEMU]

It speaks QMP, the control protocol and the file protocol as a guest does that means well, except where the scenario wants
it otherwise. `list` prints the scenarios: STAGE NAME, where the stage is "boot" (the mount is to fail) or "run" (it is to
succeed and the scenario begins with the job `now`)."""
import json
import os
import random
import re
import select
import socket
import struct
import sys
import threading

from headers import constant

IO_LIMIT = constant("fs/wire.h", "WIRE_IO_LIMIT")
HELLO, CONFIG, READY, PING, PONG, LOG, SHUTDOWN, GOODBYE = 1, 2, 3, 4, 5, 6, 7, 8
START, STARTED, EXIT, DATA, CREDIT, SIGNAL, WINSIZE, CLOSE, NOTICES = 16, 17, 18, 19, 20, 21, 22, 23, 24
LOOKUP, FORGET, GETATTR, READLINK, OPEN, READ, RELEASE, INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT = (
    1, 2, 3, 5, 14, 15, 18, 26, 27, 28, 29, 36)
BATCH_FORGET, READDIRPLUS = 42, 44
DIRECTORY, FILE, LINK = 0o40755, 0o100644, 0o120777


def frame(kind, flags=0, job=0, payload=b""):
    return struct.pack("<IHHI", 12 + len(payload), kind, flags, job) + payload


def reply(unique, error=0, body=b""):
    return struct.pack("<IiQ", 16 + len(body), error, unique) + body


def attr(ino, mode, size=0, blksize=4096):
    return struct.pack("<QQQQQQIIIIIIIIII", ino, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, blksize, 0)


def entry(node, mode, size=0, **more):
    return struct.pack("<QQQQII", node, 1, 3600, 3600, 0, 0) + attr(node, mode, size, **more)


def dirent(ino, name, kind=8):
    text = struct.pack("<QQII", ino, 1, len(name), kind) + name
    return text + b"\0" * (-len(text) % 8)


class Guest:
    """The well-meaning one. Scenarios override."""

    greeting = b'{"version":%d,"agent":"fake","kernel":"6.1.0-fake","arch":"x86_64","boot_us":{"init":1}}' % constant(
        "src/proto.h", "CTL_VERSION")
    stage = "run"

    def __init__(self, fds):
        self.qmp = socket.socket(fileno=fds["qmp"])
        self.ctl = socket.socket(fileno=fds["port1"])
        self.root = socket.socket(fileno=fds["port2"])
        self.buffers = {self.qmp: b"", self.ctl: b"", self.root: b""}
        # node: (name, parent, mode, content)
        self.files = {1: (b"", 1, DIRECTORY, b""), 2: (b"file", 1, FILE, b"from the guest\n"),
                      3: (b"dir", 1, DIRECTORY, b""), 4: (b"link", 3, LINK, b"../file")}

    # ---- QMP ----
    def qmp_line(self, line):
        request = json.loads(line)
        answer = {"return": {}}
        if "id" in request:
            answer["id"] = request["id"]
        if request["execute"] == "qom-get":
            answer["return"] = "fake-q35-machine"
        self.qmp.sendall(json.dumps(answer).encode() + b"\n")
        if request["execute"] == "quit":
            sys.exit(0)

    # ---- control ----
    def begin(self):
        self.ctl.sendall(frame(HELLO, payload=self.greeting))

    def ctl_frame(self, kind, flags, job, payload):
        if kind == CONFIG:
            self.configured()
        elif kind == START:
            self.start(job, json.loads(payload))
        elif kind == SHUTDOWN:
            self.ctl.sendall(frame(GOODBYE))
            sys.exit(0)

    def configured(self):
        self.ctl.sendall(frame(READY, payload=b'{"root":"rw","notices":false}'))

    def start(self, job, spec):
        self.ctl.sendall(frame(STARTED, job=job, payload=b'{"pid":7}'))
        if spec.get("cmd") == "now":
            self.now(job)
        else:
            self.output(job, spec.get("cmd", "").encode())
            self.end(job)

    def output(self, job, text, stream=1):
        self.ctl.sendall(frame(DATA, stream, job, text))

    def end(self, job, result=b'{"code":0}'):
        self.ctl.sendall(frame(DATA, 1, job) + frame(DATA, 2, job) + frame(EXIT, job=job, payload=result))

    def now(self, job):
        self.end(job)

    # ---- files ----
    def file_request(self, opcode, unique, node, body):
        if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
            return
        self.root.sendall(self.file_reply(opcode, unique, node, body))

    def file_reply(self, opcode, unique, node, body):
        known = self.files.get(node)
        if opcode == INIT:
            return reply(unique, 0, struct.pack("<IIIIHHIIHHI28x", 7, 38, 131072, 0, 64, 48, IO_LIMIT, 1, 128, 0, 0))
        if opcode in (RELEASE, RELEASEDIR):
            return reply(unique)
        if not known:
            return reply(unique, -116)
        if opcode == LOOKUP:
            return self.lookup(unique, node, body[:-1])
        if opcode == GETATTR:
            return reply(unique, 0, struct.pack("<QII", 3600, 0, 0) + attr(node, known[2], len(known[3])))
        if opcode == READLINK:
            return reply(unique, 0, known[3])
        if opcode in (OPEN, OPENDIR):
            return reply(unique, 0, struct.pack("<QII", 5, 0, 0))
        if opcode == READ:
            offset, size = struct.unpack_from("<QI", body, 8)
            return reply(unique, 0, known[3][offset:offset + size])
        if opcode in (READDIR, READDIRPLUS):
            return reply(unique, 0, self.listing(opcode, node, struct.unpack_from("<Q", body, 8)[0]))
        return reply(unique, -95)

    def lookup(self, unique, parent, name):
        for node, (known, where, mode, content) in self.files.items():
            if node != 1 and known == name and where == parent:
                return reply(unique, 0, entry(node, mode, len(content)))
        return reply(unique, -2)

    def listing(self, opcode, node, offset):
        if offset:
            return b""
        plus = opcode == READDIRPLUS
        return b"".join((entry(child, mode, len(content)) if plus else b"") + dirent(child, name)
                        for child, (name, where, mode, content) in self.files.items() if where == node and child != 1)

    # ---- the loop ----
    def take(self, stream, data):
        self.buffers[stream] += data
        if stream is self.qmp:
            *lines, self.buffers[stream] = self.buffers[stream].split(b"\n")
            for line in filter(None, lines):
                self.qmp_line(line)
            return
        while len(self.buffers[stream]) >= 4:
            length = struct.unpack_from("<I", self.buffers[stream])[0]
            if len(self.buffers[stream]) < length:
                return
            message, self.buffers[stream] = self.buffers[stream][:length], self.buffers[stream][length:]
            if stream is self.ctl:
                kind, flags, job = struct.unpack_from("<HHI", message, 4)
                self.ctl_frame(kind, flags, job, message[12:])
            else:
                opcode, unique, node = struct.unpack_from("<IQQ", message, 4)
                self.file_request(opcode, unique, node, message[40:])

    def serve(self, stream):
        try:
            data = stream.recv(65536)
            if data:
                self.take(stream, data)
                return
        except OSError:  # the host has hung up
            pass
        if stream is self.qmp:
            sys.exit(0)
        self.buffers.pop(stream, None)

    def run(self):
        self.qmp.sendall(b'{"QMP":{"version":{"qemu":{"micro":0,"minor":2,"major":7},"package":""},"capabilities":[]}}\n')
        try:
            self.begin()
        except OSError:
            pass
        while True:
            for stream in select.select(list(self.buffers), [], [])[0]:
                self.serve(stream)


SCENARIOS = {"good": Guest}


def scenario(stage):
    def add(cls):
        cls.stage = stage
        SCENARIOS[re.sub("([A-Z])", r"-\1", cls.__name__).lower()[1:]] = cls
        return cls
    return add


# ---- before the guest is ready: the mount fails ----

@scenario("boot")
class Exits(Guest):
    def begin(self):
        print("fake: no such machine", file=sys.stderr)
        sys.exit(3)


@scenario("boot")
class ControlGarbage(Guest):
    def begin(self):
        self.ctl.sendall(random.Random(7).randbytes(100000))


@scenario("boot")
class ControlHugeLength(Guest):
    def begin(self):
        self.ctl.sendall(struct.pack("<IHHI", 0xffffffff, HELLO, 0, 0) * 1000)


@scenario("boot")
class ControlTruncated(Guest):
    def begin(self):
        self.ctl.sendall(frame(HELLO, payload=self.greeting)[:20])
        self.ctl.close()
        del self.buffers[self.ctl]


@scenario("boot")
class ControlNoGreeting(Guest):
    def begin(self):
        self.ctl.sendall(frame(READY, payload=b"{}"))


@scenario("boot")
class ControlWrongVersion(Guest):
    greeting = b'{"version":99}'


@scenario("boot")
class ControlDeepGreeting(Guest):
    greeting = b'{"version":' + b"[" * 30000 + b"]" * 30000 + b"}"


@scenario("boot")
class ControlTwoGreetings(Guest):
    def configured(self):
        self.begin()


@scenario("boot")
class ControlUnknownFrame(Guest):
    def configured(self):
        self.ctl.sendall(frame(77, payload=b"x" * 60000))


@scenario("boot")
class FilesGarbage(Guest):
    def begin(self):
        self.root.sendall(random.Random(9).randbytes(100000))


@scenario("boot")
class FilesBadInit(Guest):
    """Answers the greeting before it has come."""

    def configured(self):
        self.root.sendall(reply(1 << 63 | 2, 0, struct.pack("<IIIIHHII", 6, 9, 0, 0, 0, 0, 1, 1)))


@scenario("boot")
class FilesClosed(Guest):
    """There is a guest, but its files are gone."""

    def begin(self):
        self.root.close()
        del self.buffers[self.root]


@scenario("boot")
class MonitorGarbage(Guest):
    def begin(self):
        self.qmp.sendall(b"\xff\xfe no JSON at all\n" * 1000)


@scenario("boot")
class MonitorEndless(Guest):
    def begin(self):
        while True:
            self.qmp.sendall(b"x" * 65536)


# ---- later: the sandbox ends with a reason ----

@scenario("run")
class LogFlood(Guest):
    """Not an attack on anything but patience: the sandbox goes on."""

    def now(self, job):
        for _ in range(3000):
            self.ctl.sendall(frame(LOG, payload=b"\x1b[2J\xff endless " * 60))
        self.end(job)


@scenario("run")
class PingFlood(Guest):
    """Asks and does not read the answers."""

    def now(self, job):
        ping = frame(PING, payload=b"p" * 4096)
        for _ in range(5000):
            self.ctl.sendall(ping)
        self.end(job)


@scenario("run")
class OutputFlood(Guest):
    """More than memory is for; the sandbox goes on."""

    def now(self, job):
        for _ in range(1000):
            self.output(job, b"f" * 60000)
        self.end(job)


@scenario("run")
class OutputOfNobody(Guest):
    def now(self, job):
        self.output(job + 99, b"x")


@scenario("run")
class ExitTwice(Guest):
    def now(self, job):
        self.end(job)
        self.end(job)


@scenario("run")
class ExitGiant(Guest):
    def now(self, job):
        self.end(job, b'{"code":0,' + b",".join(b'"k%d":{}' % i for i in range(6000)) + b"}")


@scenario("run")
class CreditOverflow(Guest):
    def now(self, job):
        self.ctl.sendall(frame(CREDIT, 0, job, struct.pack("<I", 0xffffffff)))


@scenario("run")
class NoticesNeverCome(Guest):
    """The sandbox goes on after a moment."""

    def now(self, job):
        self.ctl.sendall(frame(NOTICES, payload=struct.pack("<Q", 1 << 60)))
        self.end(job)


@scenario("run")
class ForgedNotification(Guest):
    def now(self, job):
        self.root.sendall(struct.pack("<IiQ", 16 + 24, 4, 0) + b"s" * 24)


@scenario("run")
class SweepFlood(Guest):
    """Says over and over that everything has changed: the sandbox goes on."""

    def now(self, job):
        for _ in range(20000):
            self.root.sendall(struct.pack("<IiQQqq", 40, 2, 0, 0, 0, 0))
        self.end(job)


@scenario("run")
class UnaskedReply(Guest):
    def now(self, job):
        self.root.sendall(reply(4242))


@scenario("run")
class WrongLookup(Guest):
    """Each name exists, in a shape the kernel must not be shown."""

    def lookup(self, unique, parent, name):
        shapes = {b"zero": entry(0, FILE), b"root": entry(1, DIRECTORY), b"huge": entry(2**64 - 1, FILE),
                  b"nomode": entry(9, 0), b"size": entry(10, FILE, 2**64 - 1), b"blocks": entry(11, FILE, blksize=1 << 31),
                  b"device": entry(12, 0o60666), b"suid": entry(13, 0o106755)}
        return reply(unique, 0, shapes[name]) if name in shapes else super().lookup(unique, parent, name)


@scenario("run")
class WrongListing(Guest):
    def listing(self, opcode, node, offset):
        plus = entry(20, FILE) if opcode == READDIRPLUS else b""
        return plus + dirent(20, b"good") + plus + dirent(21, b"../../etc")


@scenario("run")
class TooMuchData(Guest):
    def file_reply(self, opcode, unique, node, body):
        if opcode == READ:
            return reply(unique, 0, b"x" * 131073)
        return super().file_reply(opcode, unique, node, body)


@scenario("run")
class NoSuchOperation(Guest):
    """Says of everything that it is not implemented, which the kernel would believe of the control files too."""

    def file_reply(self, opcode, unique, node, body):
        if opcode in (INIT, LOOKUP, GETATTR):
            return super().file_reply(opcode, unique, node, body)
        return reply(unique, -38)


@scenario("run")
class MovingDirectory(Guest):
    """A way out of the tree, if the host followed: a link deep down says ../../.. and more; while a process is on its way
    along it, held up by an attribute that does not come, its directory is found at the top."""

    def __init__(self, fds):
        super().__init__(fds)
        self.files = {1: (b"", 1, DIRECTORY, b"")}
        for depth in range(2, 7):
            self.files[depth] = (b"d", depth - 1, DIRECTORY, b"")
        self.files[7] = (b"link", 6, LINK, b"../../../outside/secret")
        self.held = []
        self.linked = False

    def tell_link(self, unique):
        self.linked = True
        self.root.sendall(reply(unique, 0, self.files[7][3]))

    def let_go(self):
        for unique in self.held:
            self.root.sendall(reply(unique, 0, struct.pack("<QII", 3600, 0, 0) + attr(6, DIRECTORY)))
        self.held = []

    def lookup(self, unique, parent, name):
        if name == b"moved" and parent == 1:
            threading.Timer(0.3, self.let_go).start()
            return reply(unique, 0, entry(6, DIRECTORY))
        return super().lookup(unique, parent, name)

    def file_request(self, opcode, unique, node, body):
        if opcode == READLINK:  # late enough for what the kernel knows of the directory to be out of date
            threading.Timer(1.3, self.tell_link, [unique]).start()
        elif opcode == GETATTR and node == 6 and self.linked:
            self.held.append(unique)
        else:
            super().file_request(opcode, unique, node, body)


def main():
    if sys.argv[1] == "list":
        for name, cls in SCENARIOS.items():
            print(cls.stage, name)
        return
    with open("/proc/self/comm", "w", encoding="ascii") as comm:
        comm.write("qemu-fake")
    fds = dict(re.findall(r"socket,id=(\w+),fd=(\d+)", " ".join(sys.argv[2:])))
    SCENARIOS[sys.argv[1]]({name: int(fd) for name, fd in fds.items()}).run()


main()
