# SPDX-License-Identifier: BSD-3-Clause
"""docs/examples/diffusers_controlnet.py runs as its first lines say, and fails in words."""

import re
import subprocess
import sys

import distorch2
import support
import tap


def run(*arguments):
    script = f"{tap.SOURCE}/docs/examples/diffusers_controlnet.py"
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True)


def folder():
    from diffusers import ControlNetModel

    path = tap.scratch("small")
    support.plausible(ControlNetModel(block_out_channels=(64, 128, 128, 128), cross_attention_dim=64)).save_pretrained(
        path
    )
    return path


def test_it_prints_shares_stalls_and_peak_memory():
    with distorch2.Context() as context:
        if "opencl:1" not in [device.name for device in context.devices()]:
            raise tap.Skip("there are no two OpenCL devices")
    done = run(folder(), "cpu,30%;opencl:0,35%;opencl:1,*", "--size", "16")
    assert done.returncode == 0, done.stderr
    tap.diag(done.stdout)
    for expected in (
        r"^cpu +\d",
        r"^opencl:0 +\d",
        r"^opencl:1 +\d",
        r"^window +\d",
        r"^pass 3: [\d.]+ s, streamed [\d.]+ [KM]iB, stalled \d+ times for \d+ ms in all, 13 outputs$",
        r"^peak memory of this process: [\d.]+ [MG]iB$",
    ):
        assert re.search(expected, done.stdout, re.M), expected


def test_what_cannot_be_is_said():
    done = run(folder(), "cpu,30%;opencl:99,*")
    assert done.returncode != 0 and "opencl:99" in done.stderr and "NotFoundError" in done.stderr, done.stderr


if __name__ == "__main__":
    tap.run_tests()
