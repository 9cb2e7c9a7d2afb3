# SPDX-License-Identifier: Apache-2.0
"""from the start of `gondolin mount` to its end, against the same machine with an init that answers at once"""
from machines import Bare, BareRecipe, Sandbox

ROUNDS = 5


def measure(bench, report):
    sandboxes, bares = [], []
    recipe = None
    for _ in range(ROUNDS):
        with Sandbox(bench) as sandbox:
            recipe = recipe or BareRecipe(bench, sandbox)
            sandboxes.append(sandbox)
        with Bare(bench, recipe, as_new=True) as bare:
            bares.append(bare)
    report.add("boot to ready", [s.start_seconds for s in sandboxes], "s",
               {"bare": [b.start_seconds for b in bares]}, ratio_at_most=1.3)
    report.add("boot to ready, CPU of the VMM", [s.start_cpu_seconds for s in sandboxes], "s",
               {"bare": [b.start_cpu_seconds for b in bares]}, ratio_at_most=1.3)
    add_phases(report, sandboxes, bares)


def add_phases(report, sandboxes, bares):
    def marks(sandbox):
        return [int(sandbox.status[f"boot_{mark}_us"]) / 1e6 for mark in ("init", "modules", "root", "ports")]
    report.add("phase: qemu to its monitor", [b.qmp_seconds for b in bares], "s")
    report.add("phase: outside the guest's clock", [s.start_seconds - marks(s)[3] for s in sandboxes], "s",
               {"bare": [b.start_seconds - b.port_seconds for b in bares]})
    report.add("phase: kernel to init", [marks(s)[0] for s in sandboxes], "s",
               {"bare": [b.init_seconds for b in bares]})
    report.add("phase: init to modules", [marks(s)[1] - marks(s)[0] for s in sandboxes], "s")
    report.add("phase: modules to root", [marks(s)[2] - marks(s)[1] for s in sandboxes], "s")
    report.add("phase: root to ports", [marks(s)[3] - marks(s)[2] for s in sandboxes], "s")
    report.add("phase: init to ports", [marks(s)[3] - marks(s)[0] for s in sandboxes], "s",
               {"bare": [b.port_seconds - b.init_seconds for b in bares]})
