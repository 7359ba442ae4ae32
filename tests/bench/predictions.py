# SPDX-License-Identifier: BSD-3-Clause
"""`make bench-predictions`: what plans predict beside what runs and loads measure. predictions.py TOOL MODEL [WORD...]; the words go
before the tool, such as the simulator's.

A row is a placement. Speeds are measured just before it, and between its loads: what is predicted from the best of these is compared
with the best of the loads, since what else a machine does makes both slower, and never faster. The columns: a pass after the first; a
load from the page cache, into which the file was read before each; one from the disk, whose file was dropped from it. How the tool
read tells whether the state was what it says: a row whose file could not be kept in the page cache, or dropped from it, has "-". Loads
are counted from the request on, in a process of their own: drivers start first, which is predicted too (start_seconds).

What stays apart, where it was seen: loads on simulated links are longer than predicted, and wait for staging meanwhile; passes of a
few hundredths of a second on devices of the processor; and most of all on a machine that is busy, where what is measured in a moment is
quicker than what lasts: `chrt -r 10` before all of it helps there. Why, nobody has looked into yet."""

import itertools
import json
import os
import subprocess
import sys

TOOL, MODEL, *BEFORE = sys.argv[1:]
PLANS = int(os.environ.get("PLANS", "20"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
PART = 0.15
ROW = "{:9} {:9} {:>4} {:>5}" + 3 * "  {:>8} {:>8} {:>6}"


def ask(*words):
    done = subprocess.run([*BEFORE, TOOL, *words, "--json"], capture_output=True, text=True, check=False)
    return json.loads(done.stdout)


def cases():
    """Compute device, donor, virtual VRAM and milliseconds that a pass computes."""
    devices = [each["name"] for each in ask("devices", "--measure")["devices"] if not each["name"].startswith("cpu:")]
    pairs = [(a, b) for a, b in itertools.product(devices, devices) if a not in ("cpu", b)]
    found = list(itertools.product(pairs, (("0.2", "0"), ("0.4", "100"), ("0.6", "400"))))
    return found[:: max(1, len(found) // PLANS)]


def warm():
    with open(MODEL, "rb", buffering=0) as file:
        while file.read(1 << 22):
            pass


def drop():
    with open(MODEL, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def load(prepare, io, request):
    """Seconds of a load in the state that `prepare` makes; None where it was not in it."""
    prepare()
    done = ask("load", *request)
    if "error" in done:
        return None
    done = done["loads"][0]
    return done["seconds"] if done["io"] in io else None


def measure(request):
    """What was predicted and measured at the best: of a pass, a warm load, a cold one."""
    best = {}

    def better(key, seconds):
        if seconds is not None:
            best[key] = min(best.get(key, seconds), seconds)

    for state, io, key in ((warm, ("buffered",), "load_seconds"), (drop, ("direct", "both"), "load_cold_seconds")):
        for _ in range(ROUNDS):
            ask("devices", "--measure")
            plan, run = ask("plan", *request), ask("run", *request, "--passes", "5")
            if "error" in plan or "error" in run:
                return None
            prediction = plan["prediction"]
            better("pass predicted", prediction["compute_seconds"] + prediction["stall_seconds"])
            better("pass", sorted(each["seconds"] for each in run["passes"][1:])[len(run["passes"]) // 2])
            better(state.__name__ + " predicted", prediction["start_seconds"] + prediction[key])
            better(state.__name__, load(state, io, request))
    return best


def main():
    kinds = ("pass", "warm", "drop")
    good, total = dict.fromkeys(kinds, 0), dict.fromkeys(kinds, 0)
    titles = ("pass", "measured", "error", "warm", "measured", "error", "cold", "measured", "error")
    print(ROW.format("compute", "donor", "V", "step", *titles))
    for (compute, donor), (virtual, step) in cases():
        request = (MODEL, "--compute-device", compute, "--donor-device", donor, "--virtual-vram-gb", virtual, "--step-ms", step)
        best = measure(request)
        if best is None:
            continue
        texts = []
        for kind in kinds:
            predicted, measured = best[kind + " predicted"], best.get(kind)
            if measured is None:
                texts += [f"{predicted:.3f}", "-", "-"]
                continue
            error = (predicted - measured) / measured
            total[kind] += 1
            good[kind] += abs(error) <= PART
            texts += [f"{predicted:.3f}", f"{measured:.3f}", f"{error:+.0%}"]
        print(ROW.format(compute, donor, virtual, step, *texts), flush=True)
    words = {"pass": "passes", "warm": "loads from the page cache", "drop": "loads from the disk"}
    print("; ".join(f"{good[kind]} of {total[kind]} {words[kind]} within {PART:.0%}" for kind in kinds))


main()
