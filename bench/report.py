# SPDX-License-Identifier: Apache-2.0
"""Figures: a value, the references it was measured against in the same run, and the limit it is held to."""
import json
import math
import os
import statistics
import time


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

    def add(self, name, samples, unit, references=None, ratio_at_most=None, ratio_at_least=None, at_most=None,
            limited_by=None):
        """`references`: {name: samples}. A ratio limit is a number, against the first of them, or {name: number}."""
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
        if limited_by:
            figure["limited_by"] = limited_by
        self.figures.append(figure)
        print_figure(figure)

    def compare(self, name, unit, contenders, measurement, references=None, rounds=7, budget_seconds=8, limited_by=None,
                **limits):
        """What `measurement` finds of the first contender, against what it finds of the others. Each round measures
        everything once, so that what disturbs the machine disturbs all alike; there are fewer when they take long.
        Returns the samples: those of the first, and of the others by name."""
        samples = {contender.name: [] for contender in contenders}
        others = {other: [] for other in references or {}}
        begin = time.monotonic()
        for done in range(rounds):
            if (time.monotonic() - begin) * (done + 1) > budget_seconds * max(done, 1):
                break
            for other, reference in (references or {}).items():
                others[other].append(reference())
            for contender in contenders:
                samples[contender.name].append(measurement(contender))
        own = samples.pop(contenders[0].name)
        self.add(name, own, unit, {**others, **samples}, limited_by=limited_by and limited_by(), **limits)
        return own, {**others, **samples}

    @staticmethod
    def met(figure):
        if "at_most" in figure:
            return figure["median"] <= figure["at_most"]
        verdicts = {ratio_limit(figure, name, reference["ratio"])[1] for name, reference in figure["references"].items()}
        return None if verdicts <= {None} else False not in verdicts

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


def ratio_limit(figure, name, ratio):
    """The limit that a reference sets, as text, and whether it is met; ("", None) where it sets none."""
    for key, sign in (("ratio_at_most", "<="), ("ratio_at_least", ">=")):
        limits = figure.get(key, {})
        if not isinstance(limits, dict):
            limits = {next(iter(figure["references"]), None): limits}
        if name in limits:
            return f"{sign} {limits[name]}x", ratio <= limits[name] if sign == "<=" else ratio >= limits[name]
    return "", None


def reference_text(figure, name, reference):
    limit, met = ratio_limit(figure, name, reference["ratio"])
    verdict = {True: f", {limit}", False: f", MISSED {limit}", None: ""}[met]
    return f"{reference['ratio']:.2f}x of {name} ({number(reference['median'])}{verdict})"


def print_figure(figure):
    shown = f"{number(figure['median'])} {figure['unit']}"
    if "p99" in figure:
        shown += f" (p99 {number(figure['p99'])})"
    verdict = {True: "met", False: "MISSED", None: ""}[figure["met"]]
    if "at_most" in figure:
        shown += f", <= {number(figure['at_most'])}"
    references = [reference_text(figure, name, reference) for name, reference in figure["references"].items()]
    if "limited_by" in figure:
        references.append(f"limited by {figure['limited_by']}")
    print(f"  {figure['name']:<34} {shown:<28} {verdict:<7} {', '.join(references)}", flush=True)
