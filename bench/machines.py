# SPDX-License-Identifier: Apache-2.0
"""The sandbox under test, and the bare machine it is compared with."""
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "tools"))
from headers import constant  # noqa: E402

HELLO = struct.Struct("<QQ")  # bench/wire.h
START_LIMIT = 120


def cpu_seconds(pid, only=None):
    """CPU time of all threads of a process, or of one, to the nanosecond."""
    total = 0
    for task in [only] if only else os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as stat:
            total += int(stat.read().split()[0])
    return total / 1e9


def session_nice(pid):
    """How nice the scheduler is to a session (sched(7), "The autogroup feature"); "0" where there is no such thing."""
    try:
        with open(f"/proc/{pid}/autogroup", encoding="ascii") as autogroup:
            return autogroup.read().split()[-1]
    except OSError:
        return "0"


def disturb_less(pid, nice="-10"):
    """Puts a session before the others of the machine, where root may: what else runs there is not to be measured. All
    that is compared gets the same."""
    try:
        with open(f"/proc/{pid}/autogroup", "w", encoding="ascii") as autogroup:
            autogroup.write(nice)
    except OSError:
        pass


class Bench:
    """Where things are, and a scratch directory of our own."""

    def __init__(self, build, source):
        self.build, self.source = build, source
        self.gondolin = f"{build}/gondolin"
        self.scratch = tempfile.mkdtemp(prefix="gondolin-bench.")
        os.environ["XDG_RUNTIME_DIR"] = f"{self.scratch}/run"
        os.mkdir(os.environ["XDG_RUNTIME_DIR"], 0o700)
        self.store = os.environ["GONDOLIN_STORE"]
        self.nice_before = session_nice(os.getpid())
        disturb_less(os.getpid())

    def close(self):
        disturb_less(os.getpid(), self.nice_before)
        shutil.rmtree(self.scratch, ignore_errors=True)


class Sandbox:
    """A booted one, or with cold=False one from the template that the first of them leaves behind."""

    def __init__(self, bench, *options, cold=True, image="busybox"):
        self.bench, self.mountpoint = bench, f"{bench.scratch}/sb"
        how = ["--cold"] if cold else []
        begin = time.monotonic()
        subprocess.run([bench.gondolin, "mount", "--image", image, *how, *options, self.mountpoint], check=True,
                       stdout=subprocess.DEVNULL, timeout=START_LIMIT)
        self.start_seconds = time.monotonic() - begin
        self.status = self.read_status()
        self.vm, self.supervisor = int(self.status["vm_pid"]), int(self.status["supervisor_pid"])
        self.start_cpu_seconds = cpu_seconds(self.vm)
        self.guest_program_written = False
        disturb_less(self.supervisor)
        disturb_less(self.vm)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        words = [self.bench.gondolin, "umount", self.mountpoint]
        if subprocess.run(words, check=False, timeout=60).returncode != 0:
            subprocess.run([*words, "--force"], check=False, timeout=60)

    def read_status(self):
        with open(f"{self.mountpoint}/status", encoding="utf-8") as status:
            return dict(line.rstrip("\n").split(" ", 1) for line in status)

    def execute(self, *argv):
        return subprocess.run([self.bench.gondolin, "exec", self.mountpoint, "--", *argv], check=True, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=900).stdout

    def run(self, line):
        with open(f"{self.mountpoint}/run", "wb", buffering=0) as run:
            run.write(line.encode())

    def guest_program(self):
        path = "/tmp/gondolin-bench-guest"
        if not self.guest_program_written:
            shutil.copy(f"{self.bench.build}/gondolin-bench-guest", f"{self.mountpoint}/root{path}")
            self.guest_program_written = True
        return path

    def work(self, *words, processes=1):
        """Seconds that something done to files takes in the guest; bench/work.h."""
        out = self.execute(self.guest_program(), "work", str(processes), *map(str, words))
        return int(out) / 1e9

    def command_line(self):
        with open(f"/proc/{self.vm}/cmdline", "rb") as cmdline:
            return [word.decode() for word in cmdline.read().split(b"\0")[:-1]]


def window(word):
    """The memory that a sandbox shares with its machine: nobody but a bare one has it."""
    return re.sub(r"^memory-backend-file,id=window,size=(\d+),.*", r"memory-backend-ram,id=window,size=\1", word)


def disk_node(word):
    """The root disk, where a word of the command line describes it."""
    return json.loads(word) if word.startswith('{"driver":"qcow2"') else None


class BareRecipe:
    """A sandbox's machine with an init that does nothing: same program, kernel, command line, devices and modules."""

    def __init__(self, bench, sandbox):
        self.words = sandbox.command_line()
        initramfs = self.words[self.words.index("-initrd") + 1]
        self.initramfs = f"{bench.scratch}/bare.cpio"
        self.disk = next(disk_node(word)["backing"]["file"]["filename"] for word in self.words if disk_node(word))
        with open(self.initramfs, "wb") as out, open(initramfs, "rb") as image, \
                open(f"{bench.build}/gondolin-bench-guest", "rb") as init:
            # A later archive overrides: the modules are the image's, /init is ours.
            out.write(image.read())
            out.write(newc_archive({"init": init.read()}, 0o100755))

    def argv(self, sockets):
        words = [window(word) for word in self.words]
        words[words.index("-initrd") + 1] = self.initramfs
        for i, word in enumerate(words):
            if word.startswith("socket,id="):
                name = word.split(",")[1][3:]
                words[i] = f"socket,id={name},fd={sockets[name].fileno()}"
            elif disk_node(word):
                words[i] = json.dumps({"driver": "qcow2", "node-name": "root", "read-only": True,
                                       "file": {"driver": "file", "filename": self.disk}})
        return words

    def chardevs(self):
        return [word.split(",")[1][3:] for word in self.words if word.startswith("socket,id=")]


def newc_archive(files, mode):
    return b"".join(newc_entry(name, mode, data) for name, data in files.items()) + newc_entry("TRAILER!!!", 0, b"")


def newc_entry(name, mode, data):
    """One file of a cpio archive in the format of the kernel's initramfs (cpio(5), "New ASCII Format")."""
    def padded(bytes_):
        return bytes_ + b"\0" * (-len(bytes_) % 4)
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return padded(header + name.encode() + b"\0") + padded(data)


class Bare:
    """A running bare machine; `port` is the socket of its gondolin.ctl."""

    def __init__(self, bench, recipe, as_new=False):
        """`as_new`: it is its start that is compared, during which a sandbox is not put before others either."""
        self.bench = bench
        ours, theirs = {}, {}
        for name in recipe.chardevs():
            ours[name], theirs[name] = socket.socketpair()
        self.sockets = ours
        begin = time.monotonic()
        # A session of its own, as gondolin makes one: the kernel's scheduler gives each session an equal share.
        self.process = subprocess.Popen(recipe.argv(theirs), pass_fds=[end.fileno() for end in theirs.values()],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
        if not as_new:
            disturb_less(self.process.pid)
        for end in theirs.values():
            end.close()
        for end in ours.values():
            end.settimeout(START_LIMIT)
        ours["qmp"].recv(1)
        self.qmp_seconds = time.monotonic() - begin
        self.port = ours["port1"]
        init_ns, port_ns = HELLO.unpack(self.port.recv(HELLO.size, socket.MSG_WAITALL))
        self.start_seconds = time.monotonic() - begin
        self.init_seconds, self.port_seconds = init_ns / 1e9, port_ns / 1e9
        self.start_cpu_seconds = cpu_seconds(self.process.pid)
        self.port.settimeout(None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for end in self.sockets.values():
            end.close()

    def ask(self, what, count, size):
        """Seconds that each of `count` exchanges of `size` bytes took; bench/port.c."""
        fd = self.port.fileno()
        words = [f"{self.bench.build}/gondolin-bench-port", str(fd), what, str(count), str(size)]
        out = subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE, pass_fds=[fd], timeout=120).stdout
        return [int(line) / 1e9 for line in out.split()]


class Loaded:
    """The machine of a warm sandbox without gondolin around it: the same program loads the same state, is told who it is,
    and runs one job. Frames: gondolin-protocol(7)."""
    HEADER = struct.Struct("<IHHI")
    CONFIG, READY, JOB_START, JOB_EXIT = 2, 3, 16, 18

    def __init__(self, bench, sandbox):
        words = sandbox.command_line()
        self.disk = f"{bench.scratch}/loaded.qcow2"
        names = [word.split(",")[1][3:] for word in words if word.startswith("socket,id=")]
        self.sockets, theirs = {}, {}
        for name in names:
            self.sockets[name], theirs[name] = socket.socketpair()
        with open(self.state_of(words), "rb") as state:
            argv = self.argv(words, theirs, state.fileno())
            begin = time.monotonic()
            self.process = subprocess.Popen(argv, pass_fds=[state.fileno(), *(end.fileno() for end in theirs.values())],
                                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
        for end in theirs.values():
            end.close()
        try:
            self.run_first_job()
        except BaseException:
            self.__exit__()
            raise
        self.first_job_seconds = time.monotonic() - begin

    def run_first_job(self):
        port = self.sockets["port1"]
        port.settimeout(START_LIMIT)
        self.send(port, self.CONFIG, {"version": constant("src/proto.h", "CTL_VERSION"), "hostname": "bare",
                                      "realtime_ns": time.time_ns(), "entropy": "00" * 32, "machine_id": "0" * 32})
        self.wait_for(port, self.READY)
        self.send(port, self.JOB_START, {"cmd": "true", "stdin": False}, 1)
        self.wait_for(port, self.JOB_EXIT)

    @staticmethod
    def state_of(words):
        memory = json.loads(next(word for word in words if word.startswith('{"qom-type":"memory-backend-file"')))
        return f"{os.path.dirname(memory['mem-path'])}/state"

    def argv(self, words, sockets, state_fd):
        words = [window(word) for word in words]
        for i, word in enumerate(words):
            if word.startswith("socket,id="):
                name = word.split(",")[1][3:]
                words[i] = f"socket,id={name},fd={sockets[name].fileno()}"
            elif word.startswith("fd:"):
                words[i] = f"fd:{state_fd}"
            elif disk_node(word):
                node = disk_node(word)
                subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b",
                                node["backing"]["file"]["filename"], self.disk], check=True)
                node["file"]["filename"] = self.disk
                words[i] = json.dumps(node)
        return words

    def send(self, port, kind, payload, job=0):
        text = json.dumps(payload).encode()
        port.sendall(self.HEADER.pack(self.HEADER.size + len(text), kind, 0, job) + text)

    def wait_for(self, port, kind):
        while True:
            length, came, _, _ = self.HEADER.unpack(port.recv(self.HEADER.size, socket.MSG_WAITALL))
            if length > self.HEADER.size:
                port.recv(length - self.HEADER.size, socket.MSG_WAITALL)
            if came == kind:
                return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for end in self.sockets.values():
            end.close()
        os.unlink(self.disk)


class SshfsUnavailable(Exception):
    """Says what is missing."""


class Sshfs:
    """sshfs on a directory of the guest. Its server runs as a job, and the job's stdin and stdout are the connection:
    no network and no encryption, both of which would only cost it more. The guest needs nothing for it: the host's own
    sftp-server is put there with its libraries."""
    SERVER = "/usr/lib/openssh/sftp-server"
    GUEST_DIR = "/opt/gondolin-bench"

    def __init__(self, bench, sandbox, directory):
        if not shutil.which("sshfs") or not os.path.exists(self.SERVER):
            raise SshfsUnavailable("needs sshfs and openssh-sftp-server")
        if sandbox.status["arch"] != os.uname().machine:
            raise SshfsUnavailable("the guest is of another architecture than the host's sftp-server")
        self.mountpoint = f"{bench.scratch}/sshfs"
        os.mkdir(self.mountpoint)
        loader = self.put_server(f"{sandbox.mountpoint}/root{self.GUEST_DIR}")
        connect = f"{bench.scratch}/connect"
        with open(connect, "w", encoding="ascii") as script:
            script.write(f"#!/bin/sh\nexec '{bench.gondolin}' exec '{sandbox.mountpoint}' -- {self.GUEST_DIR}/{loader} "
                         f"--library-path {self.GUEST_DIR} {self.GUEST_DIR}/sftp-server\n")
        os.chmod(connect, 0o700)
        self.process = subprocess.Popen(["sshfs", "-f", f"guest:{directory}", self.mountpoint, "-o",
                                         f"ssh_command={connect}"], start_new_session=True)
        while not os.path.ismount(self.mountpoint):
            time.sleep(0.05)
            if self.process.poll() is not None:
                raise SshfsUnavailable(f"sshfs ended with {self.process.returncode}")
        disturb_less(self.process.pid)

    def put_server(self, directory):
        os.makedirs(directory)
        out = subprocess.run(["ldd", self.SERVER], check=True, text=True, stdout=subprocess.PIPE).stdout
        files = [word for word in out.split() if word.startswith("/")]
        for path in [self.SERVER, *files]:
            shutil.copy(path, directory)
        return next(os.path.basename(path) for path in files if "ld-linux" in path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["fusermount3", "-u", self.mountpoint], check=False, timeout=60)
        self.process.wait(timeout=60)
