# SPDX-License-Identifier: BSD-3-Clause
"""The peers beside us: interleaved rounds of loads of one file to host memory, cold and warm, in one table. Each load runs in a
process of its own, which measures itself from the call to the last byte."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

TOOL = os.environ.get("DISTORCH2", "distorch2")


def load_safetensors(path):
    import safetensors

    with safetensors.safe_open(path, "pt") as file:
        return [file.get_tensor(name).clone() for name in file.keys()]


def load_fastsafetensors(path):
    from fastsafetensors import SafeTensorsFileLoader, SingleGroup

    loader = SafeTensorsFileLoader(SingleGroup(), "cpu", nogds=True)
    loader.add_filenames({0: [path]})
    return loader, loader.copy_files_to_device()


def load_runai(path):
    from runai_model_streamer import SafetensorsStreamer

    tensors = []
    with SafetensorsStreamer() as streamer:
        streamer.stream_file(path)
        for _, tensor in streamer.get_tensors():
            tensors.append(tensor.clone())
    return tensors


PEERS = {"safetensors": load_safetensors, "fastsafetensors": load_fastsafetensors, "Run:ai streamer": load_runai}


def child(peer, path):
    """In a process of its own: seconds, on standard output."""
    PEERS[peer]  # imports are no part of a load: a first call on nothing would be, so only the modules are read before
    for module in ("torch", "safetensors", "fastsafetensors", "runai_model_streamer"):
        try:
            __import__(module)
        except ImportError:
            pass
    begin = time.monotonic()
    kept = PEERS[peer](path)
    print(time.monotonic() - begin)
    return kept


def seconds_of(name, path):
    if name == "distorch2":
        done = subprocess.run([TOOL, "load", path, "--compute-device", "cpu", "--json", "--progress", "none"], capture_output=True, text=True)
        return json.loads(done.stdout)["loads"][0]["seconds"] if done.returncode == 0 else None
    done = subprocess.run([sys.executable, __file__, "--child", name, path], capture_output=True, text=True)
    return float(done.stdout.split()[-1]) if done.returncode == 0 else None


def drop_cache(path):
    file = os.open(path, os.O_RDONLY)
    os.fdatasync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def read_through(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(8 << 20):
            pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--child")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("path")
    args = parser.parse_args()
    if args.child:
        child(args.child, args.path)
        return
    names = ["distorch2", *PEERS]
    found = {(name, cold): [] for name in names for cold in (True, False)}
    for number in range(args.rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            for cold in (True, False):
                (drop_cache if cold else read_through)(args.path)
                seconds = seconds_of(name, args.path)
                if seconds:
                    found[name, cold].append(os.path.getsize(args.path) / 1e9 / seconds)
    print(f"{args.path}: medians of {args.rounds} interleaved rounds (lowest..highest), GB/s")
    print(f"{'':20}{'cold':>24}{'warm':>24}")
    for name in names:
        cells = []
        for cold in (True, False):
            rates = found[name, cold]
            cells.append(f"{statistics.median(rates):.2f} ({min(rates):.2f}..{max(rates):.2f})" if rates else "-")
        print(f"{name:20}{cells[0]:>24}{cells[1]:>24}")


main()
