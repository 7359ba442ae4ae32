# SPDX-License-Identifier: BSD-3-Clause
"""`make bench-predictions`: what plans predict beside what runs and loads measure. predictions.py TOOL MODEL [WORD...]; the words go
before the tool, such as the simulator's. PLANS (20) says how many plans, FROM (0) with which one to begin, ROUNDS (3) how many loads of each.

A row is a placement. Speeds are measured every few rows. The columns: a pass after the first; a load from the page cache, into which
the file was read before each; one from the disk, whose file was dropped from it (on this machine: simulated links are slower than
disks). How the tool read tells whether the state was what it says: a row whose file could not be kept in the page cache, or dropped
from it, has "-". Loads are counted from the request on, in a process of their own: drivers start first, which is predicted too
(start_seconds). The best of the loads counts, and the median of the passes: what else a machine does makes them slower, never faster.

A virtual machine gives back to its host what memory lies idle for some seconds, and has it again at half a GB/s. So memory that a load will
take is touched and freed just before it, as the file is read into the page cache; without that loads are up to three times as long as predicted.
On a machine that is busy `chrt -r 10` before all of it helps.

What stays apart, where it was seen. Loads with --auto on this machine take as much longer as choosing takes, a few tenths of a second,
which is no part of what is predicted. Passes of some hundredths of a second on devices of the processor, whose copies and whose
computing share its cores: up to a third. Loads after speeds were measured in a moment in which the machine was busier than it was then, or
less busy: four rows in a row, which have one measurement."""

import itertools
import json
import mmap
import os
import subprocess
import sys

TOOL, MODEL, *BEFORE = sys.argv[1:]
PLANS = int(os.environ.get("PLANS", "20"))
FROM = int(os.environ.get("FROM", "0"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
MEASURED_ROWS = 4
PART = 0.15
SIZE = os.path.getsize(MODEL)
ROW = "{:9} {:32} {:>4}" + 3 * "  {:>8} {:>8} {:>6}"


def ask(*words):
    done = subprocess.run([*BEFORE, TOOL, *words, "--json"], capture_output=True, text=True, check=False)
    return json.loads(done.stdout)


def names():
    touch()
    found = ask("devices", "--measure")["devices"]
    return [each["name"] for each in found if not each["name"].startswith("cpu:")]


def cases(devices):
    """Compute device, what else the request says, and milliseconds that a pass computes."""
    found = []
    for compute in devices:
        for donor in (each for each in devices if each != compute):
            for part, step in ((0.3, "0"), (0.45, "50"), (0.6, "100"), (0.9, "300")):
                virtual = f"{part * SIZE / 2**30:.2f}"
                found.append((compute, ("--donor-device", donor, "--virtual-vram-gb", virtual), step))
        others = [each for each in devices if each != compute][:2]
        split = ";".join(f"{name},{part}%" for name, part in zip([compute, *others], (40, 35, 25)))
        found.append((compute, ("--expert-mode-allocations", split), "150"))
        found.append((compute, ("--auto", "--virtual-vram-gb", f"{0.5 * SIZE / 2**30:.2f}"), "200"))
    count = min(PLANS, len(found))
    return [found[i * len(found) // count] for i in range(count)]


def touch():
    """The memory that a load will take."""
    memory = mmap.mmap(-1, SIZE + (256 << 20), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    for at in range(0, len(memory), 1 << 12):
        memory[at] = 1
    memory.close()


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
    touch()
    done = ask("load", *request)
    if "error" in done:
        return None
    done = done["loads"][0]
    return done["seconds"] if done["io"] in io else None


def least(prepare, io, request):
    found = [load(prepare, io, request) for _ in range(ROUNDS)]
    return min((each for each in found if each is not None), default=None)


def measure(request, simulated):
    """What was predicted and measured: of a pass, a warm load, a cold one. None: it is refused."""
    plan, run = ask("plan", *request), ask("run", *request, "--passes", "5")
    if "error" in plan or "error" in run:
        return None
    prediction = plan["prediction"]
    passes = sorted(each["seconds"] for each in run["passes"][1:])
    start = prediction["start_seconds"]
    return (
        (prediction["compute_seconds"] + prediction["stall_seconds"], passes[len(passes) // 2]),
        (start + prediction["load_seconds"], least(warm, ("buffered",), request)),
        (start + prediction["load_cold_seconds"], None if simulated else least(drop, ("direct", "both"), request)),
    )


def stalls(request, compute_seconds):
    """Of a pass, predicted and measured."""
    plan, run = ask("plan", *request), ask("run", *request, "--passes", "5")
    if "error" in plan or "error" in run:
        return None
    passes = sorted(each["seconds"] for each in run["passes"][1:])
    return plan["prediction"]["stall_seconds"], passes[len(passes) // 2] - compute_seconds


def choices(devices):
    """What --auto gains beside virtual VRAM of the same bytes, by passes that were run."""
    part = "{:9} {:>6} {:>5}  {:>20}  {:>20}  {:>20}"
    print(part.format("compute", "V", "step", "virtual VRAM's stall", "--auto's", "measured gain"))
    for compute, step in itertools.product([each for each in devices if each != "cpu"], ("100", "300")):
        virtual = f"{0.5 * SIZE / 2**30:.2f}"
        request = (MODEL, "--compute-device", compute, "--virtual-vram-gb", virtual, "--step-ms", step)
        plain, chosen = stalls(request, float(step) / 1e3), stalls((*request, "--auto"), float(step) / 1e3)
        if plain is None or chosen is None:
            continue
        texts = ["{:.3f} ran {:.3f}".format(*each) for each in (plain, chosen)]
        print(part.format(compute, virtual, step, *texts, f"{plain[1] - chosen[1]:+.3f} s a pass"), flush=True)


def main():
    kinds = ("passes", "loads from the page cache", "loads from the disk")
    errors = {kind: [] for kind in kinds}
    titles = ("pass", "measured", "error", "warm", "measured", "error", "cold", "measured", "error")
    print(ROW.format("compute", "request", "step", *titles))
    for row, (compute, words, step) in enumerate(itertools.islice(cases(names()), FROM, None)):
        if row and row % MEASURED_ROWS == 0:
            touch()
            ask("devices", "--measure")
        found = measure((MODEL, "--compute-device", compute, *words, "--step-ms", step), BEFORE)
        if found is None:
            print(ROW.format(compute, " ".join(words[1::2]), step, *9 * ["-"]), flush=True)
            continue
        texts = []
        for kind, (predicted, measured) in zip(kinds, found):
            error = (predicted - measured) / measured if measured else None
            texts += [f"{predicted:.3f}", f"{measured:.3f}", f"{error:+.0%}"] if measured else [f"{predicted:.3f}", "-", "-"]
            errors[kind] += [] if error is None else [error]
        print(ROW.format(compute, " ".join(each for each in words if not each.startswith("--")), step, *texts), flush=True)
    if BEFORE and FROM == 0:
        choices(names())
    good = {kind: sum(abs(each) <= PART for each in found) for kind, found in errors.items() if found}
    print("; ".join(f"{count} of {len(errors[kind])} {kind} within {PART:.0%}" for kind, count in good.items()))


main()
