# SPDX-License-Identifier: Apache-2.0
"""what a sandbox costs that does nothing"""
import time

from machines import Sandbox, cpu_seconds

SETTLE_SECONDS, SECONDS = 3, 20


def memory_mib(pid, key):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(key + ":"))


def measure(bench, report):
    with Sandbox(bench) as sandbox:
        time.sleep(SETTLE_SECONDS)
        pids = {"supervisor": sandbox.supervisor, "vm": sandbox.vm}
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        begin = time.monotonic()
        time.sleep(SECONDS)
        wall = time.monotonic() - begin
        used = {name: 100 * (cpu_seconds(pid) - before[name]) / wall for name, pid in pids.items()}
        report.add("memory of the supervisor (RSS)", [memory_mib(sandbox.supervisor, "VmRSS")], "MiB", at_most=20)
        report.add("memory of the VM (RSS)", [memory_mib(sandbox.vm, "VmRSS")], "MiB")
        report.add("CPU of the supervisor", [used["supervisor"]], "%", at_most=1)
        report.add("CPU with the VM", [sum(used.values())], "%", at_most=1)
