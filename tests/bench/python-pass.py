# SPDX-License-Identifier: BSD-3-Clause
"""What a pass of SD1.5's ControlNet costs through attach, beside the stock module's in the same run: processor time,
and calls of Python functions.

Passes take turns, so that what else the machine does meets all of them. A row is the median of a pass over the stock
module's of the same round; the streamed one's over the stock module's and one plain copy of the bytes that it streams.

While one thread copies, or Python runs, OpenMP's other threads wait in a loop, which is processor time as well; with
OMP_WAIT_POLICY=passive they sleep, and what is counted is work.
"""

import contextlib
import os
import statistics
import sys
import time

import distorch2
import tap
import torch
from distorch2.torch import attach
from safetensors.torch import save_file

ROUNDS = 7
MOST_CALLS = 1.5
MOST_SECONDS = 1.1
STREAMED = "fp32, streamed"
CAST = "fp16, cast at use"  # is written and read once more in each pass: as quick as the machine's memory, and not judged


def network():
    from diffusers import ControlNetModel

    return ControlNetModel(cross_attention_dim=768).eval()


def calls(run):
    """How many functions of Python a pass calls."""
    number = 0

    def count(_frame, event, _argument):
        nonlocal number
        number += event == "call"

    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(None)
    return number


def seconds(run):
    begin = time.process_time()
    run()
    return time.process_time() - begin


class Case:
    """A module on a model of one file, placed in one way, and stored in one."""

    def __init__(self, context, stock, written, allocations, **stored):
        path = tap.scratch(f"sd15-{str(written)[6:]}.safetensors")
        save_file({name: tensor.to(written) for name, tensor in stock.state_dict().items()}, path)
        with torch.device("meta"):
            self.module = network()
        self.model = context.load(
            path, compute_device="cpu", virtual_vram_gb=0, expert_mode_allocations=allocations, **stored
        )
        self.attachment = attach(self.module, self.model, dtype=torch.float32)


def plain_copy(stock):
    """Copies as many bytes as the network has, from memory to touched memory."""
    source = torch.cat([tensor.view(-1) for tensor in stock.state_dict().values()])
    target = torch.zeros_like(source)
    return lambda: target.copy_(source)


def report(spent, counted):
    """A row for each; whether one is above what it may cost."""
    above = False
    for name, seconds_of in spent.items():
        base = [stock + (copy if name == STREAMED else 0) for stock, copy in zip(spent["stock"], spent["one copy"])]
        ratio = statistics.median(own / other for own, other in zip(seconds_of, base))
        least = min(own / other for own, other in zip(seconds_of, base))
        row = f"SD1.5 {name + ':':28} {statistics.median(seconds_of) * 1e3:5.0f} ms of processor time"
        if name not in ("stock", "one copy"):
            of = "stock and one copy" if name == STREAMED else "stock"
            row += f", {ratio:.2f} x {of} (least {least:.2f}" + (")" if name == CAST else f", {MOST_SECONDS} wanted)")
            above = above or (name != CAST and ratio > MOST_SECONDS)
        if name in counted:
            row += f"; {counted[name]} calls, {counted[name] / counted['stock']:.2f} x stock"
        print(row)
    return above or counted[STREAMED] > MOST_CALLS * counted["stock"]


def main():
    torch.manual_seed(1)
    torch.set_num_threads(2)
    stock = network()
    inputs = (torch.randn(2, 4, 24, 24), torch.tensor([500]), torch.randn(2, 77, 768), torch.rand(2, 3, 192, 192))
    with distorch2.Context() as context, contextlib.ExitStack() as stack, torch.no_grad():
        if "opencl:0" not in [device.name for device in context.devices()]:
            print("1..0 # SKIP there is no OpenCL device to stream from")
            return 0
        cases = {
            "fp32, resident": Case(context, stock, torch.float32, "cpu,*"),
            "fp16, stored as fp32": Case(context, stock, torch.float16, "cpu,*", dtype="f32"),
            CAST: Case(context, stock, torch.float16, "cpu,*"),
            STREAMED: Case(context, stock, torch.float32, "opencl:0,*"),
        }
        for case in cases.values():
            stack.enter_context(case.attachment)
        runs = {"stock": lambda: stock(*inputs)}
        runs.update({name: lambda case=case: case.module(*inputs) for name, case in cases.items()})
        counted = {name: calls(run) for name, run in runs.items()}  # each has run once
        runs["one copy"] = plain_copy(stock)
        runs["one copy"]()
        print(f"OpenMP's threads wait {'asleep' if os.environ.get('OMP_WAIT_POLICY') == 'passive' else 'in a loop'}")
        spent = {name: [] for name in runs}
        for _ in range(ROUNDS):
            for name, run in runs.items():
                spent[name].append(seconds(run))
        return report(spent, counted)


if __name__ == "__main__":
    status = main()
    tap.remove_scratch()
    sys.exit(status)
