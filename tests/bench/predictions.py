# SPDX-License-Identifier: BSD-3-Clause
"""`make bench-predictions`: what plans predict beside what runs and loads measure. predictions.py TOOL MODEL [WORD...]; the words go
before the tool, such as the simulator's. A row is a placement: a pass after the first (the median of four), and the load from a
warm file. Speeds are measured just before. A machine that is busy makes errors of its own."""

import itertools
import json
import os
import subprocess
import sys

TOOL, MODEL, *BEFORE = sys.argv[1:]
PLANS = int(os.environ.get("PLANS", "20"))
PART = 0.15
ROW = "{:10} {:10} {:>5} {:>5}  {:>10} {:>9} {:>7}  {:>10} {:>9} {:>7}"


def ask(*words):
    done = subprocess.run([*BEFORE, TOOL, *words, "--json"], capture_output=True, text=True, check=False)
    return json.loads(done.stdout)


def cases():
    """Compute device, donor, virtual VRAM and milliseconds that a pass computes."""
    devices = [each["name"] for each in ask("devices", "--measure")["devices"] if not each["name"].startswith("cpu:")]
    pairs = [(a, b) for a, b in itertools.product(devices, devices) if a not in ("cpu", b)]
    found = list(itertools.product(pairs, (("0.2", "0"), ("0.4", "100"), ("0.6", "400"))))
    return found[:: max(1, len(found) // PLANS)]


def error(predicted, measured):
    return (predicted - measured) / measured


def main():
    good = total = 0
    print(ROW.format("compute", "donor", "V", "step", "pass", "measured", "error", "load", "measured", "error"))
    for (compute, donor), (virtual, step) in cases():
        request = (MODEL, "--compute-device", compute, "--donor-device", donor, "--virtual-vram-gb", virtual, "--step-ms", step)
        plan, run, load = ask("plan", *request), ask("run", *request, "--passes", "5"), ask("load", *request)
        if "error" in plan or "error" in run or "error" in load:
            continue
        prediction = plan["prediction"]
        passes = sorted(each["seconds"] for each in run["passes"][1:])
        predicted, measured = prediction["compute_seconds"] + prediction["stall_seconds"], passes[len(passes) // 2]
        seconds = load["loads"][0]["seconds"]
        total += 1
        good += abs(error(predicted, measured)) <= PART
        numbers = (predicted, measured, error(predicted, measured))
        loads = (prediction["load_seconds"], seconds, error(prediction["load_seconds"], seconds))
        texts = [text for a, b, c in (numbers, loads) for text in (f"{a:.3f} s", f"{b:.3f} s", f"{c:+.0%}")]
        print(ROW.format(compute, donor, virtual, step, *texts), flush=True)
    print(f"{good} of {total} passes within {PART:.0%}")


main()
