#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a command on a pseudo-terminal and talks to it: on-pty.py STEP... -- COMMAND [ARGUMENT]...

Steps: expect=TEXT (wait until it has been printed), send=TEXT (with backslash escapes), size=ROWSxCOLUMNS, signal=NAME,
mode=raw or mode=cooked (it must be that), exit=CODE (wait for the end, and it must be this). All output is copied
to standard output. Exit code 0 when every step was done, 1 otherwise."""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

PATIENCE = 20


class Session:
    def __init__(self, command):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.execvp(command[0], command)
        self.seen = b""

    def read(self, deadline):
        ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the other side has been closed
            data = b""
        sys.stdout.buffer.write(data)
        sys.stdout.flush()  # tests wait for what it shows
        self.seen += data
        return data

    def expect(self, text):
        deadline = time.monotonic() + PATIENCE
        while text.encode() not in self.seen:
            if not self.read(deadline):
                raise EOFError
        self.seen = self.seen.split(text.encode(), 1)[1]

    def send(self, text):
        os.write(self.fd, text.encode().decode("unicode_escape").encode("latin-1"))

    def size(self, text):
        rows, columns = text.split("x")
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", int(rows), int(columns), 0, 0))

    def signal(self, name):
        os.kill(self.pid, getattr(signal, "SIG" + name))

    def mode(self, expected):
        cooked = termios.tcgetattr(self.fd)[3] & termios.ICANON
        if ("cooked" if cooked else "raw") != expected:
            raise ValueError("the terminal is not " + expected)

    def exit(self, code):
        deadline = time.monotonic() + PATIENCE
        while self.read(deadline):
            pass
        got = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if got != int(code):
            raise ValueError("exit code %d" % got)


def main():
    split = sys.argv.index("--")
    session = Session(sys.argv[split + 1:])
    for step in sys.argv[1:split]:
        name, _, argument = step.partition("=")
        try:
            getattr(session, name)(argument)
        except Exception as problem:
            print("\non-pty: %s: %s %s" % (step, type(problem).__name__, problem), file=sys.stderr)
            try:
                os.kill(session.pid, signal.SIGHUP)
            except ProcessLookupError:
                pass
            return 1
    return 0


sys.exit(main())
