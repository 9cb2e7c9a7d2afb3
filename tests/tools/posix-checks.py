#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""POSIX behaviour of a directory: posix-checks.py DIRECTORY [exec]. Prints what is wrong and exits 1. `exec`: programs in it
may be run; otherwise they must not. Meant for root/ of a sandbox; passes on a local file system too (with exec)."""
import ctypes
import errno
import fcntl
import mmap
import os
import socket
import stat
import subprocess
import sys
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
KEEP_SIZE, PUNCH_HOLE = 1, 2
wrong = []


def check(what, got, want=True):
    if got != want:
        wrong.append(what)
        print(f"{what}: got {got!r} instead of {want!r}")


def error(function, *args, **more):
    """The name of the errno a call fails with, or "works"."""
    try:
        function(*args, **more)
    except OSError as problem:
        return errno.errorcode[problem.errno]
    return "works"


def put(name, text):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)


def get(name):
    with open(name, encoding="utf-8") as file:
        return file.read()


def libc(name, *args):
    if getattr(LIBC, name)(*args) < 0:
        raise OSError(ctypes.get_errno(), name)


def rename2(old, new, flags):
    libc("renameat2", -100, old.encode(), -100, new.encode(), flags)


def fallocate(fd, mode, offset, length):
    libc("fallocate", fd, mode, ctypes.c_long(offset), ctypes.c_long(length))


def attributes():
    put("m", "x")
    for mode in (0o644, 0o600, 0o4755, 0o2755, 0o1777, 0):
        os.chmod("m", mode)
        check(f"mode {mode:o}", stat.S_IMODE(os.stat("m").st_mode), mode)
    os.chmod("m", 0o644)
    os.utime("m", ns=(1234567890123456789, 987654321987654321))
    now = os.stat("m")
    check("times", (now.st_atime_ns, now.st_mtime_ns), (1234567890123456789, 987654321987654321))
    os.utime("m", ns=(-5 * 10**9, 1))
    check("time before 1970", os.stat("m").st_atime_ns, -5 * 10**9)
    umask = os.umask(0o077)
    put("um", "")
    os.mkdir("umd")
    os.umask(umask)
    check("umask", (os.stat("um").st_mode & 0o777, os.stat("umd").st_mode & 0o777), (0o600, 0o700))
    check("owner", (os.stat("um").st_uid, os.stat("um").st_gid), (os.geteuid(), os.getegid()))
    check("chown to oneself", error(os.chown, "um", os.geteuid(), os.getegid()), "works")
    if os.geteuid() != 0:
        check("chown to another", error(os.chown, "um", 12345, -1), "EPERM")
        os.chmod("um", 0o6755)
        put("um", "written")
        check("set-id bits after a write", stat.S_IMODE(os.stat("um").st_mode), 0o755)


def extended():
    put("x", "")
    os.setxattr("x", "user.a", b"1")
    os.setxattr("x", "user.b", b"\0\xff" * 100)
    check("xattr names", sorted(os.listxattr("x")), ["user.a", "user.b"])
    check("xattr value", os.getxattr("x", "user.b"), b"\0\xff" * 100)
    check("xattr create", error(os.setxattr, "x", "user.a", b"2", os.XATTR_CREATE), "EEXIST")
    check("xattr replace", error(os.setxattr, "x", "user.no", b"2", os.XATTR_REPLACE), "ENODATA")
    os.removexattr("x", "user.a")
    check("xattr removed", error(os.getxattr, "x", "user.a"), "ENODATA")


def links():
    put("l", "x")
    os.link("l", "hard")
    check("links", os.stat("l").st_nlink, 2)
    check("one file", os.stat("l").st_ino, os.stat("hard").st_ino)
    put("hard", "through")
    check("through a hard link", get("l"), "through")
    os.unlink("hard")
    check("links afterwards", os.stat("l").st_nlink, 1)
    os.symlink("l", "soft")
    check("symlink", (os.readlink("soft"), get("soft")), ("l", "through"))
    check("not followed", error(os.open, "soft", os.O_RDONLY | os.O_NOFOLLOW), "ELOOP")


def renames():
    put("a", "A")
    put("b", "B")
    rename2("a", "b", EXCHANGE)
    check("exchange", (get("a"), get("b")), ("B", "A"))
    check("no replace", error(rename2, "a", "b", NOREPLACE), "EEXIST")
    rename2("a", "c", NOREPLACE)
    check("no replace, free", get("c"), "B")
    check("whiteout", error(rename2, "c", "d", WHITEOUT) in ("EINVAL", "EPERM", "works"))
    os.makedirs("dir/in")
    rename2("dir", "b", EXCHANGE)
    check("exchange file and directory", (os.path.isdir("b/in"), get("dir")), (True, "A"))
    rename2("dir", "b", EXCHANGE)
    check("into itself", error(os.rename, "dir", "dir/in/x"), "EINVAL")
    check("over a full directory", error(os.rename, "dir/in", "dir"), "ENOTEMPTY")
    put("old", "old")
    put("new", "new")
    with open("old", encoding="utf-8") as file:
        os.rename("new", "old")
        check("renamed over an open file", (file.read(), get("old")), ("old", "new"))


def opens():
    fd = os.open("u", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"data")
    os.unlink("u")
    check("unlinked, open", os.pread(fd, 10, 0), b"data")
    os.ftruncate(fd, 2)
    os.fchmod(fd, 0o600)
    check("unlinked, its attributes", (os.fstat(fd).st_size, os.fstat(fd).st_nlink), (2, 0))
    os.close(fd)
    fd = os.open("ap", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, b"1")
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, b"2")
    os.close(fd)
    check("append", get("ap"), "12")
    check("exclusive", error(os.open, "ap", os.O_CREAT | os.O_EXCL), "EEXIST")
    check("no directory", error(os.open, "ap", os.O_DIRECTORY), "ENOTDIR")
    check("a directory", error(os.open, ".", os.O_WRONLY), "EISDIR")
    check("direct", error(os.open, "ap", os.O_DIRECT), "works")
    put("tr", "0123456789")
    os.truncate("tr", 5)
    os.truncate("tr", 8)
    check("truncated and grown", get("tr"), "01234\0\0\0")

    def append():
        out = os.open("many", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for _ in range(40):
            os.write(out, b"line\n")
        os.close(out)
    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check("appends at once", get("many"), "line\n" * 160)


def mappings():
    fd = os.open("mm", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 20000)
    with mmap.mmap(fd, 20000) as shared:
        shared[0:5] = b"hello"
        shared[19990:] = b"0123456789"
        shared.flush()
        check("shared mapping", (os.pread(fd, 5, 0), os.pread(fd, 10, 19990)), (b"hello", b"0123456789"))
        os.pwrite(fd, b"WRITE", 100)
        check("a mapping sees a write", shared[100:105], b"WRITE")
        shared[200:204] = b"MMAP"
        check("a read sees a mapping", os.pread(fd, 4, 200), b"MMAP")
    with mmap.mmap(fd, 20000, flags=mmap.MAP_PRIVATE) as private:
        private[0:5] = b"jello"
        check("private mapping", (private[0:5], os.pread(fd, 5, 0)), (b"jello", b"hello"))
    os.close(fd)
    with open("mm", "rb") as file:
        check("after the last close", file.read()[200:204], b"MMAP")


def space():
    fd = os.open("fa", os.O_RDWR | os.O_CREAT)
    os.posix_fallocate(fd, 0, 1 << 20)
    check("allocated", os.fstat(fd).st_size, 1 << 20)
    os.pwrite(fd, b"z" * (1 << 20), 0)
    fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 65536, 131072)
    check("punched", (os.pread(fd, 3, 65636), os.fstat(fd).st_size), (b"\0\0\0", 1 << 20))
    check("next hole", os.lseek(fd, 0, os.SEEK_HOLE), 65536)
    check("next data", os.lseek(fd, 65536, os.SEEK_DATA), 65536 + 131072)
    check("no more data", error(os.lseek, fd, 1 << 20, os.SEEK_DATA), "ENXIO")
    os.ftruncate(fd, 5 << 30)
    os.pwrite(fd, b"end", (4 << 30) + 7)
    check("beyond 4 GiB", (os.fstat(fd).st_size, os.pread(fd, 3, (4 << 30) + 7)), (5 << 30, b"end"))
    os.fsync(fd)
    os.fdatasync(fd)
    os.close(fd)
    os.unlink("fa")
    directory = os.open(".", os.O_RDONLY)
    check("fsync of a directory", error(os.fsync, directory), "works")
    check("syncfs", error(libc, "syncfs", directory), "works")
    os.close(directory)
    room = os.statvfs(".")
    check("statfs", room.f_bsize >= 512 and room.f_blocks > room.f_bfree > 0 and room.f_namemax == 255)


def special():
    os.mkfifo("fifo")
    check("fifo", stat.S_ISFIFO(os.stat("fifo").st_mode))
    listening, calling = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    listening.bind("socket")
    listening.listen(1)
    check("socket", (stat.S_ISSOCK(os.stat("socket").st_mode), error(calling.connect, "socket")), (True, "works"))
    device = error(os.mknod, "device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    check("device node", device if os.geteuid() == 0 else device == "EPERM" or device, "works" if os.geteuid() == 0 else True)
    if device == "works" and "exec" not in sys.argv:
        check("device node opened", error(os.open, "device", os.O_RDWR), "EACCES")


def programs():
    put("program", "#!/bin/sh\necho ran\n")
    os.chmod("program", 0o755)
    ran = error(subprocess.run, ["./program"], stdout=subprocess.DEVNULL, check=False)
    check("execution", ran, "works" if "exec" in sys.argv else "EACCES")


def directories():
    os.mkdir("dd")
    for i in range(200):
        put(f"dd/{i}", "")
    listing = os.scandir("dd")
    seen = {next(listing).name for _ in range(10)}
    for i in range(0, 200, 2):
        os.unlink(f"dd/{i}")
    seen |= {entry.name for entry in listing}
    check("what stays is listed", {str(i) for i in range(1, 200, 2)} <= seen)
    check("afterwards", len(os.listdir("dd")), 100)
    check("full", error(os.rmdir, "dd"), "ENOTEMPTY")
    os.mkdir("dd/e")
    check("links of a directory", os.stat("dd").st_nlink, 3)
    fd = os.open("dd/e", os.O_RDONLY)
    os.rmdir("dd/e")
    check("removed, open", (os.listdir(fd), error(os.open, "q", os.O_CREAT | os.O_WRONLY, dir_fd=fd)), ([], "ENOENT"))
    os.close(fd)
    check("name of 255 bytes", error(put, "n" * 255, ""), "works")
    check("name of 256 bytes", error(put, "n" * 256, ""), "ENAMETOOLONG")
    check("name of 3000 bytes", error(put, "n" * 3000, ""), "ENAMETOOLONG")
    put(b"\xff\n\x01".decode("utf-8", "surrogateescape"), "")
    check("name of any bytes", b"\xff\n\x01" in os.listdir(b"."))
    os.makedirs("deep/" + "p/" * 60)
    check("deep", os.path.isdir("deep/" + "p/" * 60))


def locks():
    first, second = os.open("lk", os.O_RDWR | os.O_CREAT), os.open("lk", os.O_RDWR)
    fcntl.flock(first, fcntl.LOCK_EX)
    check("flock", error(fcntl.flock, second, fcntl.LOCK_EX | fcntl.LOCK_NB), "EAGAIN")
    fcntl.lockf(first, fcntl.LOCK_EX, 10)
    script = 'import fcntl\nfcntl.lockf(open("lk", "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB, 5)'
    check("record lock", subprocess.run([sys.executable, "-c", script], stderr=subprocess.DEVNULL, check=False).returncode, 1)
    put("from", "c" * 100000)
    source, target = os.open("from", os.O_RDONLY), os.open("to", os.O_RDWR | os.O_CREAT)
    copied = 0
    while copied < 100000:
        copied += os.copy_file_range(source, target, 100000 - copied)
    check("copied within", get("to"), get("from"))


def main():
    os.chdir(sys.argv[1])
    for part in (attributes, extended, links, renames, opens, mappings, space, special, programs, directories, locks):
        os.mkdir(part.__name__)
        os.chdir(part.__name__)
        part()
        os.chdir("..")
    sys.exit(1 if wrong else 0)


main()
