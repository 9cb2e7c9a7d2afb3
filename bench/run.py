#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py BUILD SOURCE RESULTS GROUP...: the measurements of `make bench`."""
import signal
import sys

import boot
import checkpoints
import commands
import files
import idle
import machines
import mounts
import report

GROUPS = {"boot": boot, "exec": commands, "files": files, "idle": idle, "checkpoint": checkpoints,
          "mounts": mounts}


def end(*_):
    """Unwinds, so that what has been started is ended; a second signal (make and its caller send one each) would break that
    off."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    sys.exit("make bench: ended by a signal")


def main(build, source, results, names):
    unknown = [name for name in names if name not in GROUPS]
    if unknown:
        sys.exit(f"make bench: no such group: {' '.join(unknown)}; there are: {' '.join(GROUPS)}")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    bench = machines.Bench(build, source)
    figures = report.Report()
    try:
        for name in names:
            figures.group = name
            print(f"{name}: {GROUPS[name].__doc__}", flush=True)
            GROUPS[name].measure(bench, figures)
    finally:
        bench.close()
        figures.write(results)
    before, after = figures.load_before[0], report.load_average()[0]
    print(f"load average {before:.1f} before, {after:.1f} after; written to {results}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
