# SPDX-License-Identifier: Apache-2.0
"""the host's view of the guest's files, against the raw channel and sshfs on the same guest"""
import os
import shutil
import subprocess
import tarfile
import threading
import time

from commands import timed
from machines import Bare, BareRecipe, Sandbox, Sshfs, SshfsUnavailable

MIB = 1 << 20
BIG = 32 * MIB
MESSAGE = MIB // 8  # the most that the file protocol writes at once
STATS, CREATES, LISTED, READERS, REPOSITORY = 1000, 200, 5000, 16, 5000
SOURCES = ["src", "fs", "vmm", "guest", "images", "docs", "tests", "bench"]


class View:
    """The directory /bench of the guest as one of the contestants shows it."""

    def __init__(self, name, path, sandbox):
        self.name, self.path, self.sandbox, self.made = name, f"{path}/{name}", sandbox, 0
        os.mkdir(self.path)

    def fresh(self, files=0):
        """A directory that this view has not seen yet, with empty files that the guest has made."""
        self.made += 1
        name = f"{self.name}/{self.made}"
        self.sandbox.execute("/bin/sh", "-c", f"mkdir /bench/{name}; cd /bench/{name}; seq 1 {files} | xargs -r touch")
        return f"{self.path}/{self.made}"

    def settle(self):
        """Lets the guest write back what it holds, which would otherwise happen during some later measurement."""
        self.sandbox.execute("/bin/sync")


class HostDirectory:
    def __init__(self, name, path):
        self.name, self.path = name, path


def forget_pages(path):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def read_file(path):
    fd = os.open(path, os.O_RDONLY)
    while os.read(fd, MIB):
        pass
    os.close(fd)


def write_file(path, size):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    block = b"x" * MIB  # memory that nobody has touched yet would go to FUSE page by page
    for _ in range(size // MIB):
        os.write(fd, block)
    os.close(fd)


def seconds(call):
    return timed(1, call)[0]


# ---- one measurement each: a view in, a figure out ----

def sequential_write(view):
    speed = BIG / MIB / seconds(lambda: write_file(f"{view.path}/big", BIG))
    view.settle()
    return speed


def cold_read(view):
    """From the guest's memory: the host has nothing of it."""
    view.sandbox.execute("/bin/cp", f"/bench/{view.name}/big", "/dev/null")
    return read_forgotten(view)


def disk_read(view):
    """From the guest's disk, which the host's own cache stands behind."""
    view.sandbox.execute("/bin/sh", "-c", "echo 1 >/proc/sys/vm/drop_caches")
    return read_forgotten(view)


def read_forgotten(view):
    forget_pages(f"{view.path}/big")
    return BIG / MIB / seconds(lambda: read_file(f"{view.path}/big"))


def warm_read(view):
    return BIG / MIB / seconds(lambda: read_file(f"{view.path}/big"))


def cold_stat(view):
    directory = view.fresh(STATS)

    def stat_all():
        for i in range(STATS):
            os.stat(f"{directory}/{i + 1}")
    return STATS / seconds(stat_all)


def create_unlink(view):
    directory = view.fresh()

    def make_and_remove():
        for i in range(CREATES):
            os.close(os.open(f"{directory}/{i}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
            os.unlink(f"{directory}/{i}")
    return CREATES / seconds(make_and_remove)


def list_long(view):
    directory = view.fresh(LISTED)
    view.settle()
    return seconds(lambda: subprocess.run(["ls", "-l", directory], check=True, stdout=subprocess.DEVNULL))


def untar(view, archive):
    directory = view.fresh()
    return seconds(lambda: subprocess.run(["tar", "-xf", archive, "-C", directory], check=True))


def git_status(view):
    """With an index that is up to date, after the caches have had time to become doubtful."""
    def status():
        subprocess.run(["git", "-c", "safe.directory=*", "-C", f"{view.path}/repository", "status", "--short"],
                       check=True, stdout=subprocess.DEVNULL)
    status()
    time.sleep(1.5)
    return seconds(status)


def parallel_read(view):
    paths = [f"{view.path}/part{i}" for i in range(READERS)]
    for path in paths:
        forget_pages(path)
    threads = [threading.Thread(target=read_file, args=[path]) for path in paths]

    def all_threads():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return BIG / MIB / seconds(all_threads)


# ---- preparations ----

def source_archive(bench):
    path = f"{bench.scratch}/source.tar"
    with tarfile.open(path, "w") as archive:
        for folder in SOURCES:
            archive.add(f"{bench.source}/{folder}", arcname=folder)
    return path


def repository_archive(bench, path):
    """Made on the host, to be unpacked by the guest: what is measured is git, not its preparation."""
    repository = f"{bench.scratch}/repository"
    for i in range(REPOSITORY):
        os.makedirs(f"{repository}/{i % 50}", exist_ok=True)
        with open(f"{repository}/{i % 50}/{i}.c", "w", encoding="ascii") as out:
            out.write(f"int number_{i} = {i};\n")
    for words in (["init", "-q"], ["add", "."],
                  ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-qm", "all"], ["gc", "-q"]):
        subprocess.run(["git", "-C", repository, *words], check=True)
    with tarfile.open(path, "w") as archive:
        archive.add(repository, arcname="repository")
    shutil.rmtree(repository)


def make_repositories(bench, sandbox, views):
    repository_archive(bench, f"{sandbox.mountpoint}/root/bench/repository.tar")
    for view in views:
        sandbox.execute("/bin/tar", "-xf", "/bench/repository.tar", "-C", f"/bench/{view.name}")


def make_parts(sandbox, views):
    for view in views:
        sandbox.execute("/bin/sh", "-c", f"cd /bench/{view.name}; for i in $(seq 0 {READERS - 1}); do "
                        f"dd if=/dev/zero of=part$i bs=1M count={BIG // MIB // READERS} 2>/dev/null; done")


# ---- the group ----

def measure_views(bench, report, sandbox, bare, views):
    def sink_seconds():
        return bare.ask("sink", 1, BIG)[0]

    def guest_write_seconds():
        return sandbox.work("write", BIG, MESSAGE, "/bench/own")
    # The guest's own write goes through its page cache, which large pieces from the host go past.
    report.compare("sequential write", "MiB/s", views, sequential_write,
                   {"raw channel": lambda: BIG / MIB / sink_seconds(),
                    "the guest's own write": lambda: BIG / MIB / guest_write_seconds()},
                   ratio_at_least=0.8)
    report.compare("sequential read, cold", "MiB/s", views, cold_read,
                   {"raw channel": lambda: BIG / MIB / bare.ask("source", 1, BIG)[0]}, ratio_at_least=0.8)
    report.compare("sequential read, from the guest's disk", "MiB/s", views, disk_read)
    local = HostDirectory("host file", bench.scratch)
    write_file(f"{local.path}/big", BIG)
    report.compare("sequential read, warm", "MiB/s", [*views, local], warm_read)
    report.compare("stat, cold", "1/s", views, cold_stat)
    report.compare("create and unlink", "1/s", views, create_unlink)
    report.compare(f"ls -l of {LISTED}", "s", views, list_long, at_most=0.5)
    archive = source_archive(bench)
    report.compare("untar of a source tree", "s", views, lambda view: untar(view, archive))
    make_parts(sandbox, views)
    report.compare(f"{READERS} parallel readers, cold", "MiB/s", views, parallel_read)
    if shutil.which("git"):
        make_repositories(bench, sandbox, views)
        report.compare(f"git status, {REPOSITORY} files", "s", views, git_status, rounds=1)
    else:
        report.skip("git status", "needs git")


def measure(bench, report):
    with Sandbox(bench) as sandbox, Bare(bench, BareRecipe(bench, sandbox)) as bare:
        shared = f"{sandbox.mountpoint}/root/bench"
        os.mkdir(shared)
        views = [View("view", shared, sandbox)]
        try:
            with Sshfs(bench, sandbox, "/bench") as sshfs:
                views.append(View("sshfs", sshfs.mountpoint, sandbox))
                measure_views(bench, report, sandbox, bare, views)
        except SshfsUnavailable as reason:
            report.skip("comparison with sshfs", str(reason))
            measure_views(bench, report, sandbox, bare, views)
