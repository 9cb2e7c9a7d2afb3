#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A hostile guest for gondolin-vfs: hostile-guest.py WORKER DIRECTORY. Starts the real worker on DIRECTORY/tree, with
everything else in DIRECTORY out of bounds, and sends it what no kernel sends: once without and once with a hook program,
which has requests run in many threads. Prints what is wrong and exits 1."""
import errno
import fcntl
import json
import mmap
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import threading
import time

from headers import constant

WORKER, PLACE = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
TREE = os.path.join(PLACE, "tree")
NONCE = b"0123456789abcdef" * 2
MARK = struct.pack("<I", 48) + b"gondolin-ses" + NONCE
OPS = {name: number for number, name in enumerate(
    "- LOOKUP FORGET GETATTR SETATTR READLINK SYMLINK - MKNOD MKDIR UNLINK RMDIR RENAME LINK OPEN READ WRITE STATFS RELEASE "
    "- FSYNC SETXATTR GETXATTR LISTXATTR REMOVEXATTR FLUSH INIT OPENDIR READDIR RELEASEDIR FSYNCDIR GETLK SETLK SETLKW "
    "ACCESS CREATE INTERRUPT BMAP DESTROY IOCTL POLL NOTIFY_REPLY BATCH_FORGET FALLOCATE READDIRPLUS RENAME2 LSEEK "
    "COPY_FILE_RANGE SETUPMAPPING REMOVEMAPPING SYNCFS TMPFILE STATX".split())}
PIECE, PIECES = constant("fs/wire.h", "WIRE_IO_LIMIT"), constant("fs/wire.h", "WIRE_WINDOW_PIECES")
wrong = []


def check(what, got, want=True):
    if got != want:
        wrong.append(what)
        print(f"{what}: got {got!r} instead of {want!r}", flush=True)


def message(kind, ident=0, flags=0, text=b"", owner=0):
    """A struct worker_message."""
    return struct.pack("<7IiQ2I1032s3584s", kind, ident, 0, flags, owner, 0, 0, 0, 0, 0, 0, b"/srv", text)


def allow_all(end):
    """A hook program."""
    end.sendall(b'{"hook":1,"decides":true}\n')
    for line in end.makefile(encoding="ascii"):
        event = json.loads(line)
        if "op" in event:
            end.sendall(json.dumps({"id": event["id"], "allow": True}).encode() + b"\n")


class Worker:
    """One worker process and the guest's end of its stream."""

    hooked = False

    def __init__(self, flags=0, owner=0, tree=TREE):
        self.stream, stream = socket.socketpair()
        self.control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        counters = os.memfd_create("counters")
        os.ftruncate(counters, 64 * 200 + 4096)
        window = os.memfd_create("window")
        os.ftruncate(window, 2 * PIECES * PIECE)
        self.window = mmap.mmap(window, PIECES * PIECE)
        fds = [os.dup(fd) for fd in (stream.fileno(), control.fileno(), counters, window)]
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]
        for fd in fds:
            os.close(fd)

        def place():
            for number, fd in enumerate(high):
                os.dup2(fd, 3 + number)

        self.process = subprocess.Popen([WORKER], preexec_fn=place, pass_fds=(3, 4, 5, 6))
        for fd in high:
            os.close(fd)
        stream.close()
        control.close()
        os.close(counters)
        os.close(window)
        directory = os.open(tree, os.O_PATH | os.O_DIRECTORY)
        socket.send_fds(self.control, [message(1, 7, flags, owner=owner)], [directory])
        os.close(directory)
        if self.hooked:
            self.hook, theirs = socket.socketpair()
            socket.send_fds(self.control, [message(9)], [theirs.fileno()])
            theirs.close()
            threading.Thread(target=allow_all, args=[self.hook], daemon=True).start()
        self.control.send(message(3, text=NONCE))
        self.has_landlock = self.confinement() & 1
        self.unique = 0
        self.stream.settimeout(10)
        # What an earlier session left in the stream is dropped.
        self.stream.sendall(b"\x28\0\0\0" + os.urandom(5000) + MARK)
        self.init = self.ask("INIT", 1, struct.pack("<4I", 7, 38, 131072, 0xffffffff) + bytes(48), before=MARK)

    def confinement(self):
        """The flags of WORKER_CONFINED."""
        while True:
            said = struct.unpack_from("<4I", self.control.recv(4096))
            if said[0] == 5:
                return said[3]

    def send(self, op, node, body=b"", length=None, unique=None):
        opcode = OPS[op] if isinstance(op, str) else op
        if unique is None:
            self.unique += 2
            unique = self.unique
        size = 40 + len(body) if length is None else length
        self.stream.sendall(struct.pack("<IIQQIIIHH", size, opcode, unique, node, 0, 0, 0, 0, 0) + body)

    def receive(self, size):
        data = b""
        while len(data) < size:
            piece = self.stream.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def reply(self):
        while True:
            size, error, unique = struct.unpack("<IiQ", self.receive(16))
            body = self.receive(size - 16)
            if unique:
                return error, body

    def ask(self, op, node, body=b"", before=b""):
        self.send(op, node, body)
        if before:
            check("the mark", self.receive(len(before)), before)
        return self.reply()

    def error(self, op, node, body=b""):
        """The name of the errno it is answered with; "works" where it is."""
        error, answer = self.ask(op, node, body)
        if op == "LOOKUP" and not error and not any(answer[:8]):
            error = -errno.ENOENT
        return errno.errorcode[-error] if error else "works"

    def lookup(self, node, name):
        error, body = self.ask("LOOKUP", node, name + b"\0")
        found = 0 if error else struct.unpack_from("<Q", body)[0]
        return error or (0 if found else -errno.ENOENT), found  # node id 0: the peer may remember that there is nothing

    def root(self):
        return self.lookup(1, b"7")[1]

    def lives(self):
        return self.process.poll() is None and self.error("GETATTR", 1, bytes(16)) == "works"

    def ends(self):
        try:
            self.process.wait(5)
            return True
        except subprocess.TimeoutExpired:
            return False

    def close(self):
        self.stream.close()
        self.control.close()
        check("it ends with its streams", self.ends())


def opened(worker, root, name, flags=0):
    node = worker.lookup(root, name)[1]
    error, body = worker.ask("OPEN", node, struct.pack("<II", flags, 0))
    check(f"open {name}", error, 0)
    return node, struct.unpack_from("<Q", body)[0]


def names(w, root):
    for name in (b"..", b".", b"../outside", b"../../../../etc/passwd", b"/etc/passwd", b"a/b", b""):
        check(f"LOOKUP {name}", w.error("LOOKUP", root, name + b"\0"), "EINVAL")
        check(f"UNLINK {name}", w.error("UNLINK", root, name + b"\0"), "EINVAL")
        check(f"MKDIR {name}", w.error("MKDIR", root, struct.pack("<II", 0o755, 0) + name + b"\0"), "EINVAL")
        check(f"CREATE {name}", w.error("CREATE", root, struct.pack("<4I", 1, 0o644, 0, 0) + name + b"\0"), "EINVAL")
    check("LOOKUP without NUL", w.error("LOOKUP", root, b"file"), "EINVAL")
    check("LOOKUP of 256 bytes", w.error("LOOKUP", root, b"n" * 256 + b"\0"), "ENAMETOOLONG")
    check("SYMLINK with one name", w.error("SYMLINK", root, b"name\0"), "EINVAL")
    check("RENAME with one name", w.error("RENAME", root, struct.pack("<Q", root) + b"file\0"), "EINVAL")
    check("RENAME onto ..", w.error("RENAME", root, struct.pack("<Q", root) + b"file\0..\0"), "EINVAL")
    check("LOOKUP of another mount", w.error("LOOKUP", 1, b"8\0"), "ENOENT")
    check("something made beside the mounts", w.error("MKDIR", 1, struct.pack("<II", 0o755, 0) + b"9\0"), "EROFS")


def numbers(w, root):
    w.send("BATCH_FORGET", 0, struct.pack("<II", 1 << 31, 0))
    w.send("FORGET", 1, struct.pack("<Q", 1 << 40))
    w.send("FORGET", root, struct.pack("<Q", 1 << 40))
    check("it lives after forged FORGETs", w.lives())
    for node in (2, 3, (1 << 48) - 1, 0xffffffffffffffff, 0x7fffdeadbeef0000, root + (1 << 24)):
        check(f"GETATTR of {node:#x}", w.error("GETATTR", node, bytes(16)) in ("ESTALE", "ENOENT"), True)
    node, handle = opened(w, root, b"file", os.O_RDWR)
    for forged in (0, 1, 3, 4, handle + 1, handle + (1 << 24), 0xffffffffffffffff):
        check(f"READ of handle {forged:#x}", w.error("READ", node, struct.pack("<QQIIQII", forged, 0, 100, 0, 0, 0, 0)), "EBADF")
        check(f"RELEASE of {forged:#x}", w.error("RELEASE", node, struct.pack("<QIIQ", forged, 0, 0, 0)), "EBADF")
    check("READ through another node", w.error("READ", w.lookup(root, b"other")[1],
                                              struct.pack("<QQIIQII", handle, 0, 9, 0, 0, 0, 0)), "EBADF")
    check("READDIR of a file", w.error("READDIR", root, struct.pack("<QQIIQII", handle, 0, 100, 0, 0, 0, 0)), "EBADF")
    for op, args in (("READ", "<QQIIQII"), ("READDIR", "<QQIIQII")):
        check(f"{op} of 4 GiB", w.error(op, node if op == "READ" else root,
                                        struct.pack(args, handle, 0, 0xffffffff, 0, 0, 0, 0)), "EINVAL")
    check("WRITE that lies", w.error("WRITE", node, struct.pack("<QQIIQII", handle, 0, 4096, 0, 0, 0, 0) + b"short"), "EINVAL")
    check("WRITE at the end of numbers", w.error("WRITE", node, struct.pack("<QQIIQII", handle, (1 << 63) - 1, 5, 0, 0, 0, 0) +
                                                 b"bytes"), "EINVAL")
    check("SETXATTR that lies", w.error("SETXATTR", node, struct.pack("<II", 65536, 0) + b"user.x\0v"), "EINVAL")
    check("GETXATTR of 4 GiB", w.error("GETXATTR", node, struct.pack("<II", 0xffffffff, 0) + b"user.x\0"), "EINVAL")
    check("SETXATTR of the system", w.error("SETXATTR", node, struct.pack("<II", 1, 0) + b"trusted.x\0v"), "ENOTSUP")
    check("GETATTR without a body", w.error("GETATTR", node), "EINVAL")
    check("COPY to a forged handle", w.error("COPY_FILE_RANGE", node, struct.pack("<7Q", handle, 0, node, 99, 0, 10, 0)), "EBADF")
    check("release", w.error("RELEASE", node, struct.pack("<QIIQ", handle, 0, 0, 0)), "works")
    check("release again", w.error("RELEASE", node, struct.pack("<QIIQ", handle, 0, 0, 0)), "EBADF")
    check("replay after RELEASE", w.error("READ", node, struct.pack("<QQIIQII", handle, 0, 9, 0, 0, 0, 0)), "EBADF")
    for _ in range(1000):
        w.send("INTERRUPT", 0, struct.pack("<Q", 0x123456), unique=w.unique + 1)
    for opcode in (37, 48, 49, 50, 51, 52, 60, 4096, 0x7fffffff):
        check(f"opcode {opcode}", w.error(opcode, root, bytes(64)), "ENOSYS")
    check("it lives after all that", w.lives())


def window(w, root):
    """Memory that both sides have: what is forged about it, and what changes while it is read."""
    node, handle = opened(w, root, b"file", os.O_RDWR)
    begin = w.window[:]

    def piece(op, size, number, data=b""):
        return w.ask(op, node, struct.pack("<QQIIQII", handle, 0, size, 0, 0, 0, number) + data)

    for number in (PIECES + 1, 1 << 31, 0xffffffff):
        check(f"READ into piece {number:#x}", piece("READ", 8, number)[0], -errno.EINVAL)
        check(f"WRITE from piece {number:#x}", piece("WRITE", 8, number)[0], -errno.EINVAL)
    check("READ of more than a piece", piece("READ", PIECE + 1, 1)[0], -errno.EINVAL)
    check("WRITE of more than a piece", piece("WRITE", PIECE + 1, PIECES)[0], -errno.EINVAL)
    check("WRITE with data in two places", piece("WRITE", 4, 1, b"data")[0], -errno.EINVAL)
    check("nothing has been read", w.window[:] == begin)
    check("READ into a piece", piece("READ", PIECE, 2), (0, struct.pack("<II", 8, 0)))
    check("what was read", w.window[PIECE:PIECE + 8], b"contents")
    check("what is beside it", (w.window[:PIECE], w.window[PIECE + 8:]) == (begin[:PIECE], begin[PIECE + 8:]))
    stop = threading.Event()

    def scribble():
        while not stop.is_set():
            w.window[-PIECE:] = os.urandom(PIECE)

    thread = threading.Thread(target=scribble)
    thread.start()
    for _ in range(50):
        check("WRITE from a piece that changes", piece("WRITE", PIECE, PIECES), (0, struct.pack("<II", PIECE, 0)))
        check("READ into it", piece("READ", PIECE, PIECES), (0, struct.pack("<II", PIECE, 0)))
    stop.set()
    thread.join()
    check("it lives with a window that changes", w.lives())
    os.truncate(os.path.join(TREE, "file"), 8)
    w.error("RELEASE", node, struct.pack("<QIIQ", handle, 0, 0, 0))


def files(w, root):
    check("a device", w.error("MKNOD", root, struct.pack("<4I", stat.S_IFCHR | 0o666, 0x101, 0, 0) + b"null\0"), "EPERM")
    began = time.monotonic()
    for name in (b"fifo", b"socket"):
        node = w.lookup(root, name)[1]
        check(f"OPEN of a {name}", w.error("OPEN", node, struct.pack("<II", 0, 0)), "ENOTSUP")
    check("nothing has blocked", time.monotonic() - began < 5)
    link = w.lookup(root, b"link")[1]
    check("a link is shown as written", w.ask("READLINK", link)[1], b"../outside/secret")
    check("OPEN of a link", w.error("OPEN", link, struct.pack("<II", 0, 0)), "ENOTSUP")
    check("LOOKUP below a link", w.error("LOOKUP", w.lookup(root, b"dirlink")[1], b"secret\0"), "ENOTDIR")
    check("CREATE over a link", w.error("CREATE", root, struct.pack("<4I", os.O_WRONLY | os.O_TRUNC, 0o644, 0, 0) + b"link\0"),
          "ESTALE")


def race(w, root):
    """The host swaps a directory and a link out of the tree, and moves one out, while the guest goes in and out."""
    stop = threading.Event()
    swap, real = os.path.join(TREE, "swap"), os.path.join(TREE, "real")

    def host():
        while not stop.is_set():
            os.rename(swap, real)
            os.symlink("../outside", swap)
            os.unlink(swap)
            os.rename(real, os.path.join(PLACE, "outside", "real"))
            os.rename(os.path.join(PLACE, "outside", "real"), swap)

    thread = threading.Thread(target=host)
    thread.start()
    seen = 0
    for _ in range(4000):
        error, node = w.lookup(root, b"swap")
        if not error:
            error, inner = w.lookup(node, b"secret")
            seen += not error
            if not error and w.error("OPEN", inner, struct.pack("<II", 0, 0)) == "works":
                wrong.append("the secret was opened")
            w.send("FORGET", node, struct.pack("<Q", 1))
    stop.set()
    thread.join()
    check("the secret was found", seen, 0)


def moved_out(w, root):
    """What the guest still knows of a directory and a file that the host has moved out of the tree."""
    outside = os.path.join(PLACE, "outside")
    directory = w.lookup(root, b"leaves")[1]
    inner, file = w.lookup(directory, b"inner")[1], w.lookup(directory, b"file")[1]
    os.rename(os.path.join(TREE, "leaves"), os.path.join(outside, "leaves"))
    refused = ("EACCES", "EXDEV", "ESTALE", "ENOENT")
    make = struct.pack("<II", 0o755, 0) + b"new\0"
    create = struct.pack("<4I", os.O_WRONLY, 0o644, 0, 0) + b"new\0"
    for where in (directory, inner):
        check("MKDIR in what was moved out", w.error("MKDIR", where, make) in refused)
        check("CREATE in what was moved out", w.error("CREATE", where, create) in refused)
        check("OPENDIR of what was moved out", w.error("OPENDIR", where, struct.pack("<II", 0, 0)) in refused)
    check("OPEN of what was moved out", w.error("OPEN", file, struct.pack("<II", os.O_RDWR, 0)) in refused)
    check("truncating it", w.error("SETATTR", file, struct.pack("<II", 8, 0) + bytes(80)) in refused)
    check("UNLINK there", w.error("UNLINK", directory, b"file\0") in refused)
    check("LINK of it back in", w.error("LINK", root, struct.pack("<Q", file) + b"back\0") in refused)
    check("RENAME of it back in", w.error("RENAME", directory, struct.pack("<Q", root) + b"file\0back\0") in refused)
    check("RENAME into it", w.error("RENAME", root, struct.pack("<Q", directory) + b"other\0gone\0") in refused)
    shutil.rmtree(os.path.join(outside, "leaves"))


def set_id(w, root):
    """owner=user: what is made belongs to who mounts, so nothing may be made set-user-ID."""
    node = w.lookup(root, b"file")[1]
    for mode in (0o4755, 0o2755, 0o6777):
        check(f"chmod {mode:o}", w.error("SETATTR", node, struct.pack("<II", 1, 0) + bytes(60) + struct.pack("<I", mode) +
                                         bytes(16)), "EPERM")
        check(f"MKNOD {mode:o}", w.error("MKNOD", root, struct.pack("<4I", stat.S_IFREG | mode, 0, 0, 0) + b"suid\0"), "EPERM")
        check(f"CREATE {mode:o}", w.error("CREATE", root, struct.pack("<4I", 1, mode, 0, 0) + b"suid\0"), "EPERM")
    check("nothing was made", os.path.exists(os.path.join(TREE, "suid")), False)


def mapped(w, root):
    """What stands for a device is none on the host, and no file for the guest."""
    made = w.error("MKNOD", root, struct.pack("<4I", stat.S_IFBLK | 0o4666, 0x800, 0, 0) + b"disk\0")
    if made == "ENOTSUP":
        print(f"no user attributes in {TREE}: devices are not checked")
        return
    check("a device where owners are mapped", made, "works")
    found = os.lstat(os.path.join(TREE, "disk"))
    check("on the host", (stat.S_ISREG(found.st_mode), found.st_size, found.st_mode & 0o7000), (True, 0, 0))
    disk = w.lookup(root, b"disk")[1]
    check("OPEN of it", w.error("OPEN", disk, struct.pack("<II", os.O_RDWR, 0)), "ENOTSUP")
    check("CREATE over it", w.error("CREATE", root, struct.pack("<4I", os.O_WRONLY, 0o644, 0, 0) + b"disk\0"), "ESTALE")
    for op, body in (("SETXATTR", struct.pack("<II", 7, 0) + b"user.gondolin.owner\0000 0 777"),
                     ("GETXATTR", struct.pack("<II", 100, 0) + b"user.gondolin.owner\0"),
                     ("REMOVEXATTR", b"user.gondolin.owner\0")):
        check(f"{op} of the owner", w.error(op, disk, body), "ENOTSUP")
    os.unlink(os.path.join(TREE, "disk"))


def whole_machine(w, root):
    """All of this machine is shown: but not its processes, of which the worker is one."""
    check("LOOKUP of /proc", w.error("LOOKUP", root, b"proc\0"), "EACCES")
    dev = w.lookup(root, b"dev")[1]
    for name in (b"null", b"zero", b"tty"):
        node = w.lookup(dev, name)[1]
        check(f"OPEN of the host's {name}", w.error("OPEN", node, struct.pack("<II", 0, 0)), "ENOTSUP")


def session_ends(what, *frame, **more):
    w = Worker()
    w.send(*frame, **more)
    check(what, w.ends())
    w.stream.close()
    w.control.close()


def prepare():
    shutil.rmtree(PLACE, ignore_errors=True)
    for path in ("outside", "tree/swap", "tree/leaves/inner"):
        os.makedirs(os.path.join(PLACE, path))
    for name in ("file", "other", "leaves/file"):
        with open(os.path.join(TREE, name), "w", encoding="ascii") as file:
            file.write("contents")
    with open(os.path.join(PLACE, "outside", "secret"), "w", encoding="ascii") as file:
        file.write("secret")
    os.mkfifo(os.path.join(TREE, "fifo"))
    socket.socket(socket.AF_UNIX).bind(os.path.join(TREE, "socket"))
    os.symlink("../outside/secret", os.path.join(TREE, "link"))
    os.symlink("../outside", os.path.join(TREE, "dirlink"))


def attack():
    prepare()
    before = sorted(os.listdir(PLACE + "/outside"))
    w = Worker()
    check("INIT", w.init[0], 0)
    root = w.root()
    check("it serves", w.error("GETATTR", root, bytes(16)), "works")
    names(w, root)
    files(w, root)
    set_id(w, root)
    race(w, w.root())
    if w.has_landlock:
        moved_out(w, w.root())
    else:
        print("this kernel has no Landlock: what is moved out of the tree is not checked")
    w.close()
    w = Worker(owner=2)
    mapped(w, w.root())
    w.close()
    w = Worker(flags=2, tree="/")
    whole_machine(w, w.root())
    w.close()
    w = Worker()
    numbers(w, w.root())
    window(w, w.root())
    w.close()
    w = Worker(flags=2)
    root = w.root()
    node = w.lookup(root, b"file")[1]
    check("writing where it is read-only", w.error("OPEN", node, struct.pack("<II", os.O_WRONLY, 0)), "EROFS")
    check("making where it is read-only", w.error("MKDIR", root, struct.pack("<II", 0o755, 0) + b"new\0"), "EROFS")
    w.close()
    session_ends("a frame that lies about its length", "GETATTR", 1, bytes(16), length=20)
    session_ends("a giant frame", "GETATTR", 1, bytes(16), length=0x7fffffff)
    session_ends("a second INIT", "INIT", 1, struct.pack("<4I", 7, 38, 131072, 0) + bytes(48))
    session_ends("a request without a number", "GETATTR", 1, bytes(16), unique=0)
    check("outside is as it was", sorted(os.listdir(PLACE + "/outside")), before)
    check("the secret is as it was", open(PLACE + "/outside/secret", encoding="ascii").read(), "secret")


def main():
    for Worker.hooked in (False, True):
        attack()
    sys.exit(1 if wrong else 0)


main()
