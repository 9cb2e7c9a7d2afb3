# SPDX-License-Identifier: Apache-2.0
"""directories of the host in the guest, against virtio-9p, virtio-fs and the guest's own disk in the same machine"""
import io
import itertools
import json
import subprocess
import tarfile
import time

from files import BIG, MIB, REPOSITORY, repository_archive, seconds
from machines import Bare, BareRecipe
from shares import SharingSandbox

PACKAGES, TAG = ("gcc", "libc6-dev", "make"), "bench"
PARALLEL = 4
KIB_4, SMALL = 4096, 4 * MIB
STATS, CREATES, UNPACKED, SOURCES, FUNCTIONS, LINES = 1000, 200, 2000, 4, 40, 8000
FOLDERS, PER_FOLDER = 25, 100  # of each of PARALLEL trees
BUDGET_SECONDS = 7  # of a row; a single round of some takes longer
LIMIT_SECONDS = 1000  # no row begins after that
DOUBT_SECONDS = 1.5  # git does not trust times as young as that

# What is aimed at, of speeds and of seconds.
BULK = {"ratio_at_least": {"raw channel": 0.67, "9p": 1}}
WARM = {"ratio_at_least": {"9p": 1, "virtio-fs": 1}}
OPERATIONS = {"ratio_at_least": {"9p": 1, "virtio-fs": 0.5}}
TOOLS = {"ratio_at_most": {"9p": 1, "virtio-fs": 2}}

fresh = itertools.count(1)


# ---- what is there to work on: archives of (name, content), which the host or the guest unpacks ----

def write_archive(path, files):
    with tarfile.open(path, "w") as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def empty_files():
    for tree in range(PARALLEL):
        for folder in range(FOLDERS):
            yield from ((f"tree/{tree}/{folder}/{i}", b"") for i in range(PER_FOLDER))
    yield from ((f"many/{i + 1}", b"") for i in range(STATS))
    for process in range(PARALLEL):
        yield f"made{process}/none", b""
        yield from ((f"many{process}/{i + 1}", b"") for i in range(STATS // PARALLEL))
    yield "made/none", b""


def small_files(count):
    return ((f"{i % 20}/{i}", bytes(1024)) for i in range(count))


def project():
    yield "project/Makefile", (f"OBJECTS = {' '.join(f'part{i}.o' for i in range(SOURCES))}\n"
                               "CFLAGS = -O1\nall: $(OBJECTS)\n\t$(CC) -shared -o all $(OBJECTS)\n").encode()
    for i in range(SOURCES):
        functions = (f"int f{i}_{j}(int n)\n{{\n    return n > {j} ? printf(\"%d\\n\", n) : {j};\n}}\n"
                     for j in range(FUNCTIONS))
        yield f"project/part{i}.c", ("#include <stdio.h>\n#include <stdlib.h>\n" + "".join(functions)).encode()


def prepare(bench, sandbox):
    path = f"{bench.scratch}/archive.tar"
    for files in (empty_files, project):
        write_archive(path, files())
        for share in sandbox.shares:
            share.unpack(path)
    repository_archive(bench, path)
    for share in sandbox.shares:
        share.unpack(path)
    for processes in (1, PARALLEL):
        write_archive(f"{sandbox.mountpoint}/root{small_archive(processes)}", small_files(UNPACKED // processes))


def small_archive(processes):
    return f"/tmp/small{processes}.tar"


# ---- one measurement each: a share in, a figure out ----

def sequential_write(name, size, block, processes=1):
    def measure_write(share):
        path = f"{share.guest}/{name}"
        return size / MIB / share.seconds("write", size // processes, block, path, processes=processes)
    return measure_write


def sequential_read(name, size, block, processes=1, warm=False):
    """Of all of a file, or of as many as there are processes."""
    def measure_read(share):
        if not warm:
            share.sandbox.forget()
        for _ in range(warm + 1):
            taken = share.seconds("read", block, f"{share.guest}/{name}", processes=processes)
        return size / MIB / taken
    return measure_read


def operations(kind, directory, count, processes=1):
    def measure_operations(share):
        share.sandbox.forget()
        return count / share.seconds(kind, count // processes, f"{share.guest}/{directory}", processes=processes)
    return measure_operations


def tool(*words, processes=1):
    """Ends with the name of what it works on. The program itself is in memory."""
    def measure_tool(share):
        share.sandbox.forget()
        share.sandbox.execute(words[0], "--version")
        return share.seconds("exec", *words[:-1], f"{share.guest}/{words[-1]}", processes=processes)
    return measure_tool


def untar(processes=1):
    def measure_untar(share):
        name = f"untar{next(fresh)}-"
        share.sandbox.execute("/bin/mkdir", *([f"{share.guest}/{name}"] if processes == 1 else
                                              [f"{share.guest}/{name}{i}" for i in range(processes)]))
        return tool("/bin/tar", "-xf", small_archive(processes), "-C", name, processes=processes)(share)
    return measure_untar


GIT = "/usr/bin/git -c safe.directory=* -C"


def at_once(share, line, processes):
    """The shell's `$i` counts them."""
    line = f"{{ {line} || echo '{share.name}: this one failed' >&2; }}"
    return share.seconds("exec", "/bin/sh", "-c", f"for i in $(seq {processes}); do {line} & done; wait")


def git(share, *words):
    return share.seconds("exec", *GIT.split(), f"{share.guest}/repository", *words)


def git_status(cold, processes=1):
    """With an index that is up to date."""
    def measure_status(share):
        git(share, "status", "--short")
        time.sleep(DOUBT_SECONDS)
        if cold:
            share.sandbox.forget()
            share.sandbox.execute("/usr/bin/git", "--version")
        if processes == 1:
            return git(share, "status", "--short")
        return at_once(share, f"{GIT} {share.guest}/repository status --short", processes)
    return measure_status


def git_clone(processes=1):
    def measure_clone(share):
        share.sandbox.forget()
        share.sandbox.execute("/usr/bin/git", "--version")
        name = f"../clone{next(fresh)}-"
        if processes == 1:
            return git(share, "clone", "-q", "--local", ".", name)
        return at_once(share, f"{GIT} {share.guest}/repository clone -q --local . {name}$i", processes)
    return measure_clone


def make(processes=1):
    def measure_make(share):
        share.sandbox.execute("/usr/bin/gcc", "-c", "-x", "c", "-o", "/dev/null", "/dev/null")
        return share.seconds("exec", "/usr/bin/make", f"-j{processes}", "-s", "-B", "-C", f"{share.guest}/project")
    return measure_make


# ---- the group ----

def compare_bulk(compare, bare):
    def channel(what):
        return {"raw channel": lambda: BIG / MIB / bare.ask(what, 1, BIG)[0]}
    # The guest's writes go the channel's way from the guest to the host.
    written, read = channel("source"), channel("sink")
    compare("write, 1 MiB", "MiB/s", sequential_write("big", BIG, MIB), written, **BULK)
    compare("write, 4 KiB", "MiB/s", sequential_write("small", SMALL, KIB_4), written, **BULK)
    compare(f"write, 1 MiB, {PARALLEL} files", "MiB/s", sequential_write("part", BIG, MIB, PARALLEL), written, **BULK)
    compare("read, cold, 1 MiB", "MiB/s", sequential_read("big", BIG, MIB), read, **BULK)
    compare("read, cold, 4 KiB", "MiB/s", sequential_read("part0", BIG / PARALLEL, KIB_4), read, **BULK)
    compare(f"read, cold, 1 MiB, {PARALLEL} files", "MiB/s", sequential_read("part", BIG, MIB, PARALLEL), read, **BULK)
    compare("read, warm, 1 MiB", "MiB/s", sequential_read("big", BIG, MIB, warm=True), **WARM)
    compare("read, warm, 4 KiB", "MiB/s", sequential_read("part0", BIG / PARALLEL, KIB_4, warm=True), **WARM)
    compare(f"read, warm, 1 MiB, {PARALLEL} files", "MiB/s", sequential_read("part", BIG, MIB, PARALLEL, warm=True), **WARM)


def compare_operations(compare):
    listed = PARALLEL * FOLDERS * PER_FOLDER
    for processes, how in ((1, ""), (PARALLEL, f", {PARALLEL} processes")):
        tree = "tree" if processes == 1 else "tree/"
        # 9p takes half a minute for a listing.
        compare(f"ls -lR, {listed} files{how}", "s", tool("/bin/ls", "-lR", tree, processes=processes), rounds=1, **TOOLS)
        compare(f"stat, cold{how}", "1/s", operations("stat", "many", STATS, processes), **OPERATIONS)
        compare(f"create and unlink{how}", "1/s", operations("create", "made", CREATES, processes), **OPERATIONS)
        compare(f"find, {listed} files{how}", "s", tool("/usr/bin/find", tree, processes=processes), **TOOLS)
        compare(f"untar, {UNPACKED} files{how}", "s", untar(processes), **TOOLS)


def compare_work(compare):
    for processes, how in ((1, ""), (PARALLEL, f", {PARALLEL} processes")):
        compare(f"git status, cold, {REPOSITORY} files{how}", "s", git_status(cold=True, processes=processes), **TOOLS)
        compare(f"git status, {REPOSITORY} files{how}", "s", git_status(cold=False, processes=processes), **TOOLS)
        compare(f"make, {SOURCES} C files{how}", "s", make(processes), **TOOLS)
        compare(f"git clone --local, {REPOSITORY} files{how}", "s", git_clone(processes), rounds=1, **TOOLS)


class JobOutput:
    name = "job"
    script = f"i=0; while [ $i -lt {LINES} ]; do echo $i; i=$((i+1)); done"

    def __init__(self, sandbox):
        self.sandbox = sandbox

    def seconds(self):
        return seconds(lambda: self.sandbox.execute("/bin/sh", "-c", self.script))


class PipeOutput(JobOutput):
    name = "sh | cat"

    def seconds(self):
        return self.sandbox.work("exec", "/bin/sh", "-c", f"({self.script}) | cat")


def compare_output(report, sandbox):
    kilobytes = sum(len(f"{i}\n") for i in range(LINES)) / 1000

    def in_kilobytes(samples):
        return [sample / LINES * kilobytes for sample in samples]
    own, others = report.compare("output of a job", "lines/s", [JobOutput(sandbox), PipeOutput(sandbox)],
                                 lambda contender: LINES / contender.seconds(), budget_seconds=BUDGET_SECONDS)
    report.add("output of a job", in_kilobytes(own), "KB/s",
               {name: in_kilobytes(samples) for name, samples in others.items()})


def compare_all(bench, report, sandbox):
    own = sandbox.shares[0]
    end = time.monotonic() + LIMIT_SECONDS

    def compare(name, unit, measurement, references=None, **limits):
        if time.monotonic() > end:
            report.skip(name, "no time left")
            return
        report.compare(name, unit, sandbox.shares, measurement, references, budget_seconds=BUDGET_SECONDS,
                       limited_by=own.limited_by, **limits)
    prepare(bench, sandbox)
    with Bare(bench, BareRecipe(bench, sandbox)) as bare:
        compare_bulk(compare, bare)
    compare_output(report, sandbox)
    compare_operations(compare)
    compare_work(compare)


def build_image(bench):
    """The first time takes minutes, later ones find that nothing has changed. The kernel's package is returned."""
    packages = [word for name in PACKAGES for word in ("--package", name)]
    subprocess.run([bench.gondolin, "build", "--quiet", *packages, "--tag", TAG], check=True, timeout=900,
                   stdout=subprocess.DEVNULL)
    inspected = subprocess.run([bench.gondolin, "image", "--json", "inspect", TAG], check=True, text=True,
                               stdout=subprocess.PIPE, timeout=60)
    return json.loads(inspected.stdout)["kernel"]["package"]


def measure(bench, report):
    try:
        kernel = build_image(bench)
    except subprocess.CalledProcessError:
        report.skip("all", "needs an image with a compiler, which could not be built")
        return
    with SharingSandbox(bench, TAG, kernel) as sandbox:
        for name, why in sandbox.missing.items():
            report.skip(f"comparison with {name}", why)
        compare_all(bench, report, sandbox)
