# SPDX-License-Identifier: Apache-2.0
"""Figures: a value, the references it was measured against in the same run, and the limit it is held to."""
import json
import math
import os
import statistics


def percentile(samples, percent):
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * percent / 100) - 1)]


def load_average():
    return list(os.getloadavg())


class Report:
    def __init__(self):
        self.figures = []
        self.skipped = []
        self.group = ""
        self.load_before = load_average()

    def add(self, name, samples, unit, references=None, ratio_at_most=None, ratio_at_least=None, at_most=None):
        """`references`: {name: samples}. The ratio limits hold against the first of them."""
        value = statistics.median(samples)
        figure = {"group": self.group, "name": name, "unit": unit, "median": value, "samples": len(samples)}
        if len(samples) >= 50:
            figure["p99"] = percentile(samples, 99)
        figure["references"] = {
            other: {"median": statistics.median(values), "ratio": value / statistics.median(values)}
            for other, values in (references or {}).items() if values and statistics.median(values)}
        limits = {"ratio_at_most": ratio_at_most, "ratio_at_least": ratio_at_least, "at_most": at_most}
        figure.update({key: limit for key, limit in limits.items() if limit is not None})
        figure["met"] = self.met(figure)
        self.figures.append(figure)
        print_figure(figure)

    @staticmethod
    def met(figure):
        ratio = next((reference["ratio"] for reference in figure["references"].values()), None)
        if "at_most" in figure:
            return figure["median"] <= figure["at_most"]
        if ratio is None:
            return None
        if "ratio_at_most" in figure:
            return ratio <= figure["ratio_at_most"]
        if "ratio_at_least" in figure:
            return ratio >= figure["ratio_at_least"]
        return None

    def skip(self, what, why):
        self.skipped.append({"group": self.group, "what": what, "why": why})
        print(f"  {what:<34} skipped: {why}", flush=True)

    def write(self, path):
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"host_cpus": os.cpu_count(), "load_before": self.load_before, "load_after": load_average(),
                       "figures": self.figures, "skipped": self.skipped}, out, indent=1)
            out.write("\n")


def number(value):
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def limit_text(figure):
    if "at_most" in figure:
        return f"<= {number(figure['at_most'])}"
    if "ratio_at_most" in figure:
        return f"<= {figure['ratio_at_most']}x"
    if "ratio_at_least" in figure:
        return f">= {figure['ratio_at_least']}x"
    return ""


def print_figure(figure):
    shown = f"{number(figure['median'])} {figure['unit']}"
    if "p99" in figure:
        shown += f" (p99 {number(figure['p99'])})"
    verdict = {True: "met", False: "MISSED", None: ""}[figure["met"]]
    references = [f"{reference['ratio']:.2f}x of {name} ({number(reference['median'])})"
                  for name, reference in figure["references"].items()]
    print(f"  {figure['name']:<34} {shown:<28} {limit_text(figure):<9} {verdict:<7} {', '.join(references)}",
          flush=True)
