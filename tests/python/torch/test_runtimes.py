# SPDX-License-Identifier: BSD-3-Clause
"""The torch that is installed is imported after devices were listed, and before: with CUDA's and HIP's drivers at work
on a simulated machine, where the linker would find other runtimes than torch's."""

import os
import subprocess
import sys

import tap

PROGRAM = r"""
import sys
import distorch2

def names():
    with distorch2.Context() as context:
        return [device.name for device in context.devices()]

if sys.argv[1] == "us":
    assert "cpu" in names() and "torch" not in sys.modules
import torch
assert float((torch.ones(3) + 1).sum()) == 6
assert "cpu" in names()
found = [line.split()[-1] for line in open("/proc/self/maps") if "libcudart" in line or "libamdhip64" in line]
print(torch.__version__, *sorted(set(found)))
"""


def test_both_orders():
    if not os.path.isdir(f"{tap.BUILD}/tests/sim/lib/.libs"):
        raise tap.Skip("the simulator was not built")
    machine = f"{tap.SOURCE}/tests/data/machines/four-cuda.sim"
    environment = {**os.environ, "DISTORCH2_SIM_CUDART": "path"}
    for order in ("us", "torch"):
        command = ["/bin/sh", f"{tap.SOURCE}/tests/sim/run", machine, sys.executable, "-c", PROGRAM, order]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"{order} first:\n{done.stdout}{done.stderr}"
        tap.diag(f"{order} first: {done.stdout.strip()}")


if __name__ == "__main__":
    tap.run_tests()
