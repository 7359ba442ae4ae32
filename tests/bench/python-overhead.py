# SPDX-License-Identifier: BSD-3-Clause
"""What running a module on a model costs in Python, a block: a chain of small layers, attached, less the same chain
stock.

Layers are so small that computing them is next to nothing, and the window holds all of them, so that nothing is
waited for.
"""

import sys
import time

import distorch2
import tap
import torch
from distorch2.torch import attach
from safetensors.torch import save_file

LAYERS = 400
ROUNDS = 15
LIMIT_US = 30


def best(run):
    """Seconds that this thread worked in the fastest of several passes: other processes are no part of it."""
    seconds = []
    for _ in range(ROUNDS):
        begin = time.thread_time()
        run()
        seconds.append(time.thread_time() - begin)
    return min(seconds)


def main():
    torch.set_num_threads(1)
    layers = [torch.nn.Linear(8, 8) for _ in range(LAYERS)]
    stock = torch.nn.Sequential(*layers)
    path = tap.scratch("chain.safetensors")
    save_file({name: tensor.clone() for name, tensor in stock.state_dict().items()}, path)
    with torch.device("meta"):
        chain = torch.nn.Sequential(*(torch.nn.Linear(8, 8) for _ in range(LAYERS)))
    x = torch.randn(1, 8)
    with distorch2.Context() as context, torch.no_grad():
        if "opencl:0" not in [device.name for device in context.devices()]:
            print("1..0 # SKIP there is no OpenCL device to stream from")
            return 0
        with context.load(path, compute_device="cpu", expert_mode_allocations="opencl:0,*") as model:
            with attach(chain, model, window_bytes="4mb") as attachment:
                assert torch.equal(chain(x), stock(x))
                plain, attached = best(lambda: stock(x)), best(lambda: chain(x))
                last = attachment.statistics(distorch2.Span.LAST_PASS)
                session = attachment.session

                def acquire_all():
                    for block in model.blocks:
                        session.acquire(block).release()

                objects = best(acquire_all)
        overhead = (attached - plain) / LAYERS * 1e6
        print(
            f"Python overhead: {overhead:.1f} us a block of two tensors (at most {LIMIT_US}), "
            f"of {LAYERS} blocks {last.hits} were there; Session.acquire and release {objects / LAYERS * 1e6:.1f} us; "
            f"the stock module needs {plain / LAYERS * 1e6:.1f} us a block"
        )
        return overhead > LIMIT_US


if __name__ == "__main__":
    status = main()
    tap.remove_scratch()
    sys.exit(status)
