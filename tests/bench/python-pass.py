# SPDX-License-Identifier: BSD-3-Clause
"""What a pass of SD1.5's ControlNet costs through attach, beside the stock module's in the same run: processor time,
and calls of Python functions.

Passes take turns, so that what else the machine does meets all of them; the least of each is compared.
"""

import contextlib
import sys
import time

import distorch2
import tap
import torch
from distorch2.torch import attach
from safetensors.torch import save_file

ROUNDS = 3
MOST_CALLS = 1.5
MOST_SECONDS = 1.1


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
    """A module on a model of one file, placed in one way."""

    def __init__(self, context, stock, dtype, allocations):
        path = tap.scratch(f"sd15-{str(dtype)[6:]}.safetensors")
        save_file({name: tensor.to(dtype) for name, tensor in stock.state_dict().items()}, path)
        with torch.device("meta"):
            self.module = network()
        self.model = context.load(path, compute_device="cpu", virtual_vram_gb=0, expert_mode_allocations=allocations)
        options = {"dtype": torch.float32} if dtype != torch.float32 else {}
        self.attachment = attach(self.module, self.model, **options)


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
            "fp32, streamed": Case(context, stock, torch.float32, "opencl:0,*"),
            "fp16 cast at use, resident": Case(context, stock, torch.float16, "cpu,*"),
        }
        for case in cases.values():
            stack.enter_context(case.attachment)
        runs = {"stock": lambda: stock(*inputs)}
        runs.update({name: lambda case=case: case.module(*inputs) for name, case in cases.items()})
        spent = {name: [] for name in runs}
        for _ in range(ROUNDS):
            for name, run in runs.items():
                spent[name].append(seconds(run))
        counted = {name: calls(run) for name, run in runs.items()}
        for name in runs:
            least = min(spent[name])
            ratio = least / min(spent["stock"])
            print(
                f"SD1.5 {name}: {least * 1e3:.0f} ms of processor time a pass, {ratio:.2f} x stock; "
                f"{counted[name]} calls, {counted[name] / counted['stock']:.2f} x stock"
            )
        slow = min(spent["fp32, resident"]) > MOST_SECONDS * min(spent["stock"])
        return slow or counted["fp32, streamed"] > MOST_CALLS * counted["stock"]


if __name__ == "__main__":
    status = main()
    tap.remove_scratch()
    sys.exit(status)
