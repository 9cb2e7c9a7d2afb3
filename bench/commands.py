# SPDX-License-Identifier: Apache-2.0
"""`true` by writing to run and by gondolin exec, against a channel round trip and the guest's own fork and exec"""
import os
import subprocess
import time

from machines import Bare, BareRecipe, Sandbox

ROUNDS, PER_ROUND = 10, 20


def timed(count, call):
    samples = []
    for _ in range(count):
        begin = time.perf_counter()
        call()
        samples.append(time.perf_counter() - begin)
    return samples


def guest_spawn(sandbox, count, *argv):
    out = sandbox.execute(sandbox.guest_program(), "spawn", str(count), *argv)
    return [int(line) / 1e9 for line in out.split()]


def measure(bench, report):
    with Sandbox(bench) as sandbox, Bare(bench, BareRecipe(bench, sandbox)) as bare:
        run = os.open(f"{sandbox.mountpoint}/run", os.O_WRONLY)
        command = [bench.gondolin, "exec", sandbox.mountpoint, "--", "true"]
        written, executed, trips, by_shell, spawned, local = [], [], [], [], [], []
        for _ in range(ROUNDS):
            trips += bare.ask("echo", PER_ROUND, 64)
            by_shell += guest_spawn(sandbox, PER_ROUND, "/bin/sh", "-c", "true")
            spawned += guest_spawn(sandbox, PER_ROUND, "/bin/true")
            written += timed(PER_ROUND, lambda: os.write(run, b"true\n"))
            executed += timed(PER_ROUND, lambda: subprocess.run(command, check=True, stdin=subprocess.DEVNULL))
            local += timed(PER_ROUND, lambda: subprocess.run(["true"], check=True, stdin=subprocess.DEVNULL))
        os.close(run)

    def ms(seconds):
        return [sample * 1e3 for sample in seconds]
    trip = sorted(trips)[len(trips) // 2]
    report.add("channel round trip", ms(trips), "ms")
    report.add("fork+exec in the guest: sh -c true", ms(by_shell), "ms")
    report.add("fork+exec in the guest: true", ms(spawned), "ms")
    report.add("fork+exec on the host: true", ms(local), "ms")
    report.add("true by run", ms(written), "ms", {"trip + sh -c true": ms([trip + s for s in by_shell])},
               ratio_at_most=2)
    report.add("true by gondolin exec", ms(executed), "ms",
               {"trip + true": ms([trip + s for s in spawned]),
                "trip + true + true on the host": ms([trip + s + h for s, h in zip(spawned, local)])}, ratio_at_most=2)
