#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lock-checks.py FILE: POSIX and flock locks among the processes that have FILE. Prints what is wrong and exits 1."""
import errno
import fcntl
import os
import signal
import sys
import time

wrong = []
NAME = sys.argv[1]


def check(what, got, want=True):
    if got != want:
        wrong.append(what)
        print(f"{what}: got {got!r} instead of {want!r}", flush=True)


def attempt(function, *args):
    try:
        function(*args)
    except OSError as problem:
        return errno.errorcode[problem.errno]
    return "works"


def other(function):
    """What a function returns in another process."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, function().encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def posix(operation, start=0, length=0):
    def run():
        with open(NAME, "r+b") as file:
            return attempt(fcntl.lockf, file, operation | fcntl.LOCK_NB, length, start)
    return run


def flock(operation):
    def run():
        with open(NAME, "r+b") as file:
            return attempt(fcntl.flock, file, operation | fcntl.LOCK_NB)
    return run


def posix_locks():
    with open(NAME, "r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX, 10, 0)
        check("the same range", other(posix(fcntl.LOCK_EX, 5, 1)), "EAGAIN")
        check("shared over exclusive", other(posix(fcntl.LOCK_SH, 5, 1)), "EAGAIN")
        check("another range", other(posix(fcntl.LOCK_EX, 10, 5)), "works")
        fcntl.lockf(file, fcntl.LOCK_UN, 5, 0)
        check("a part given back", other(posix(fcntl.LOCK_EX, 0, 5)), "works")
        fcntl.lockf(file, fcntl.LOCK_SH, 10, 0)
        check("shared twice", other(posix(fcntl.LOCK_SH, 0, 10)), "works")
        check("exclusive over shared", other(posix(fcntl.LOCK_EX, 0, 10)), "EAGAIN")
        check("its own lock", attempt(fcntl.lockf, file, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0), "works")
        with open(NAME, "rb"):
            pass
        check("closing any descriptor ends all", other(posix(fcntl.LOCK_EX)), "works")


def flocks():
    with open(NAME, "r+b") as file, open(NAME, "r+b") as second:
        fcntl.flock(file, fcntl.LOCK_EX)
        check("flock of another open", attempt(fcntl.flock, second, fcntl.LOCK_EX | fcntl.LOCK_NB), "EAGAIN")
        check("flock of another process", other(flock(fcntl.LOCK_SH)), "EAGAIN")
        fcntl.flock(file, fcntl.LOCK_SH)
        check("flock shared", other(flock(fcntl.LOCK_SH)), "works")
    check("flock ends with its file", other(flock(fcntl.LOCK_EX)), "works")


def waits(name, take):
    """One waits until the other gives back; one is interrupted; one is killed."""
    with open(NAME, "r+b") as file:
        take(file)
        pids = []
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                signal.signal(signal.SIGUSR1, lambda *_: os._exit(3))
                file.close()  # a copy of what holds the lock
                with open(NAME, "r+b") as mine:
                    take(mine)
                os._exit(0)
            pids.append(pid)
        time.sleep(1)
        began = time.monotonic()
        os.kill(pids[0], signal.SIGUSR1)
        check(f"{name}: an interrupted one", os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]), 3)
        os.kill(pids[1], signal.SIGKILL)
        check(f"{name}: a killed one", os.waitstatus_to_exitcode(os.waitpid(pids[1], 0)[1]), -9)
        check(f"{name}: soon", time.monotonic() - began < 3)
        check(f"{name}: the third waits", os.waitpid(pids[2], os.WNOHANG)[0], 0)
    check(f"{name}: the third gets it", os.waitstatus_to_exitcode(os.waitpid(pids[2], 0)[1]), 0)


posix_locks()
flocks()
waits("lockf", lambda file: fcntl.lockf(file, fcntl.LOCK_EX))
waits("flock", lambda file: fcntl.flock(file, fcntl.LOCK_EX))
check("all is free", [other(posix(fcntl.LOCK_EX)), other(flock(fcntl.LOCK_EX))], ["works", "works"])
sys.exit(1 if wrong else 0)
