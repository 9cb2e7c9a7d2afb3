# SPDX-License-Identifier: Apache-2.0
"""warm starts against a boot and against a bare QEMU that loads the same state; checkpoints, restores and forks"""
import os
import subprocess
import time

from machines import Loaded, Sandbox

WARM_ROUNDS, COLD_ROUNDS = 20, 5
# Memory of the machine and how much of it has been written to, in MiB.
SIZES = [(256, 0), (512, 200), (1024, 200), (2048, 1024), (4096, 1024)]
FORKS = (1, 4, 8)


def first_job(sandbox):
    begin = time.monotonic()
    sandbox.run("true")
    return sandbox.start_seconds + time.monotonic() - begin


def starts(bench, report):
    """Interleaved, because the machine's load is not ours."""
    warm, cold, bare, shots, mounts = [], [], [], [], []
    with Sandbox(bench, cold=False):
        pass  # leaves the template, if there is none
    for i in range(WARM_ROUNDS):
        with Sandbox(bench, cold=False) as sandbox:
            warm.append(first_job(sandbox))
            mounts.append(sandbox.start_seconds)
            with Loaded(bench, sandbox) as loaded:
                bare.append(loaded.first_job_seconds)
        begin = time.monotonic()
        subprocess.run([bench.gondolin, "run", "--image", "busybox", "--", "true"], check=True, timeout=120)
        shots.append(time.monotonic() - begin)
        if i % (WARM_ROUNDS // COLD_ROUNDS) == 0:
            with Sandbox(bench) as sandbox:
                cold.append(first_job(sandbox))
    report.add("cold start to first result", cold, "s")
    report.add("bare load to first result", bare, "s")
    report.add("warm start to first result", warm, "s", {"cold": cold}, ratio_at_most=0.1)
    report.add("warm start to first result, 90 %", [sorted(warm)[int(len(warm) * 0.9)]], "s", {"cold": cold},
               ratio_at_most=0.1)
    report.add("warm start against a bare load", warm, "s", {"bare": bare}, ratio_at_most=1.5)
    report.add("phase: mount", mounts, "s")
    report.add("phase: first job", [w - m for w, m in zip(warm, mounts)], "s")
    report.add("gondolin run -- true", shots, "s", {"cold": cold, "bare": bare}, ratio_at_most=0.1)


def checkpoint_status(sandbox, name):
    with open(f"{sandbox.mountpoint}/checkpoints/{name}/status", encoding="utf-8") as status:
        return dict(line.rstrip("\n").split(" ", 1) for line in status)


def remove(bench, *names):
    subprocess.run([bench.gondolin, "checkpoint", "rm", *names], check=True, stdout=subprocess.DEVNULL, timeout=60)


def write_ctl(sandbox, line):
    with open(f"{sandbox.mountpoint}/ctl", "wb", buffering=0) as ctl:
        ctl.write(line.encode())


def touch_script(mebibytes):
    """Fills memory with what is not zero."""
    return ("mkdir -p /mnt && mount -t tmpfs -o size=100% tmpfs /mnt && head -c 1048576 /dev/urandom >/mnt/piece && "
            f"for i in $(seq {mebibytes}); do cat /mnt/piece; done >/mnt/touched")


def sizes(bench, report):
    for memory, touched in SIZES:
        name = f"bench-{os.getpid()}"
        with Sandbox(bench, "--memory", f"{memory}M") as sandbox:
            if touched:
                sandbox.run(touch_script(touched))
            begin = time.monotonic()
            os.mkdir(f"{sandbox.mountpoint}/checkpoints/{name}")
            total = time.monotonic() - begin
            pause = int(checkpoint_status(sandbox, name)["pause_us"]) / 1e6
            ram = os.stat(f"{bench.store}/checkpoints/{name}/ram").st_blocks * 512
            with open(f"/proc/{sandbox.vm}/smaps_rollup", encoding="ascii") as smaps:
                resident = next(int(line.split()[1]) * 1024 for line in smaps if line.startswith("Rss:"))
            begin = time.monotonic()
            write_ctl(sandbox, f"restore {name}")
            restore = time.monotonic() - begin
        remove(bench, name)
        what = f"{memory} MiB, {touched} touched"
        report.add(f"checkpoint, {what}", [total], "s")
        report.add(f"  pause, {what}", [pause], "s")
        report.add(f"  restore, {what}", [restore], "s")
        report.add(f"  on disk, {what}", [ram / 2**20], "MiB", {"resident": [resident / 2**20]}, ratio_at_most=1.1)


SHARE, OWN = "Pss:", "Private_Dirty:"  # of proc(5): with its part of what is shared; what it has written itself


def memory_of(pid, kind=SHARE):
    """In MiB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as smaps:
        return next(int(line.split()[1]) for line in smaps if line.startswith(kind)) / 1024


def start_all(bench, name, count):
    begin = time.monotonic()
    processes = [subprocess.Popen([bench.gondolin, "mount", "--from", name, f"{bench.scratch}/fork{i}"],
                                  stdout=subprocess.DEVNULL) for i in range(count)]
    for process in processes:
        if process.wait(timeout=120):
            raise RuntimeError("a fork did not start")
    for i in range(count):
        with open(f"{bench.scratch}/fork{i}/run", "wb", buffering=0) as run:
            run.write(b"true")
    return time.monotonic() - begin


def memory_of_all(bench, count, kind):
    memory = []
    for i in range(count):
        with open(f"{bench.scratch}/fork{i}/status", encoding="utf-8") as status:
            memory.append(memory_of(next(line.split()[1] for line in status if line.startswith("vm_pid ")), kind))
    return memory


def forks(bench, report):
    name = f"bench-{os.getpid()}"
    with Sandbox(bench) as sandbox:
        sandbox.run("true")
        cold = memory_of(sandbox.vm)
        os.mkdir(f"{sandbox.mountpoint}/checkpoints/{name}")
    for count in FORKS:
        seconds = start_all(bench, name, count)
        shares, own = (memory_of_all(bench, count, kind) for kind in (SHARE, OWN))
        for i in range(count):
            subprocess.run([bench.gondolin, "umount", f"{bench.scratch}/fork{i}"], check=True, timeout=60)
        report.add(f"{count} forks until all answer", [seconds], "s")
        report.add(f"  memory of each of {count} (PSS)", shares, "MiB", {"cold": [cold]}, ratio_at_most=0.3)
        report.add(f"  written by each of {count}", own, "MiB", {"cold": [cold]}, ratio_at_most=0.3)
    remove(bench, name)


def measure(bench, report):
    starts(bench, report)
    sizes(bench, report)
    forks(bench, report)
