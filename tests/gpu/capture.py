#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Beside torch on a GPU: either import order, one memory for both, graph capture undisturbed, errors left alone.

capture.py MODEL
"""

import os
import subprocess
import sys
import threading

MODEL = sys.argv[1]
ORDERS = {
    "torch first": "import torch; torch.zeros(1, device='cuda'); import distorch2; c = distorch2.Context(); c.devices()",
    "torch last": "import distorch2; c = distorch2.Context(); c.devices(); import torch; torch.zeros(1, device='cuda')",
}
count = 0
failed = 0


def ok(good, what):
    global count, failed
    count += 1
    failed += not good
    print(f"{'' if good else 'not '}ok {count} - {what}", flush=True)


def import_orders():
    for name, program in ORDERS.items():
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        ok(run.returncode == 0, f"import: {name}")
        if run.returncode:
            print("# " + run.stderr.replace("\n", "\n# "))


def passes(session, model, stop):
    """What another thread of a program does meanwhile: passes, until it is told to stop."""
    while not stop.is_set():
        for block in model.blocks:
            if session.streams(block):
                with session.acquire(block, host=True):
                    pass
        session.next_pass()


def captured(torch, work):
    """A graph of some work, captured in the strictest mode, and replayed."""
    graph = torch.cuda.CUDAGraph()
    out = work()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph, capture_error_mode="global"):
        out = work()
    graph.replay()
    torch.cuda.synchronize()
    return out


def undisturbed(torch, distorch2, model):
    a = torch.randn(512, 512, device="cuda")
    wanted = a @ a
    stop = threading.Event()
    with model.session() as session:
        thread = threading.Thread(target=passes, args=(session, model, stop))
        thread.start()
        good = True
        try:
            for _ in range(20):
                good &= torch.equal(captured(torch, lambda: a @ a), wanted)
        except RuntimeError as failure:
            print(f"# {failure}")
            good = False
        finally:
            stop.set()
            thread.join()
        ok(good, "20 graphs are captured while a session streams")


def refused(torch, distorch2, model):
    """Acquiring on a stream that captures is refused, and harms neither the capture nor the session."""
    side = torch.cuda.Stream()
    graph = torch.cuda.CUDAGraph()
    a = torch.randn(64, 64, device="cuda")
    with model.session(stream=side) as session:
        streamed = next(block for block in model.blocks if session.streams(block))
        said = None
        with torch.cuda.graph(graph, stream=side):
            b = a + 1
            try:
                session.acquire(streamed).release()
            except distorch2.DistorchError as refusal:
                said = str(refusal)
        ok(said is not None and "captur" in said, f"acquiring on a stream that captures is refused: {said}")
        graph.replay()
        torch.cuda.synchronize()
        ok(torch.equal(b, a + 1), "the capture is whole")
        with session.acquire(streamed, host=True):
            ok(True, "and the session goes on")


def main():
    import distorch2

    import_orders()
    import torch

    if not torch.cuda.is_available():
        print("1..0 # SKIP torch finds no GPU")
        return 0
    device = "hip:0" if torch.version.hip else "cuda:0"
    torch.zeros(1, device="cuda")
    with distorch2.Context() as context:
        with context.load(MODEL, compute_device=device, virtual_vram_gb=0, expert_mode_allocations="cpu,*") as model:
            undisturbed(torch, distorch2, model)
            refused(torch, distorch2, model)
            torch.cuda.synchronize()
            ok(True, "torch works on afterwards")
    print(f"1..{count}")
    return failed != 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
