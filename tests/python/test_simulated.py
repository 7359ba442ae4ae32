# SPDX-License-Identifier: BSD-3-Clause
"""On a simulated machine with cards of several makers: sessions on a stream, and exports of device memory."""

import os
import subprocess
import sys

import tap

PROGRAM = r"""
import ctypes, sys
import distorch2
from distorch2 import DLDeviceType

def device_of(capsule):
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address = get(capsule, b"dltensor")
    return tuple((ctypes.c_int32 * 2).from_address(address + 8))

def refused(kind, use, *words):
    try:
        use()
    except kind as error:
        assert all(word in str(error) for word in words), error
    else:
        raise AssertionError(f"not refused: {words}")

with distorch2.Context() as context:
    names = [device.name for device in context.devices()]
    for compute, donor, kind in (("cuda:0", "cuda:1", DLDeviceType.CUDA), ("hip:0", "cuda:0", DLDeviceType.ROCM)):
        if compute not in names or donor not in names:
            print("no", compute, "or", donor)
            continue
        allocations = f"{compute},30%;{donor},30%;cpu,*"
        asked = {"compute_device": compute, "expert_mode_allocations": allocations, "verify": True}
        with context.load(sys.argv[1], **asked) as model:
            resident = next(t for t in model.tensors.values() if t.device == compute)
            assert resident.__dlpack_device__() == (kind, 0) == device_of(resident.__dlpack__(stream=None))
            away = next(t for t in model.tensors.values() if t.device == donor)
            assert device_of(away.__dlpack__()) == away.__dlpack_device__() == (DLDeviceType.CUDA, int(donor[-1]))
            with model.session(stream=0) as session:
                for _ in range(3):
                    for block in model.blocks:
                        with session.acquire(block) as held:
                            for tensor in held.values():
                                assert tensor.device == compute and tensor.__dlpack_device__() == (kind, 0)
                                for stream in (None, 0, 1, -1):
                                    assert device_of(tensor.__dlpack__(stream=stream)) == (kind, 0)
                    session.next_pass()
                with session.acquire(model.blocks[-1], host=True) as held:
                    tensor = next(iter(held.values()))
                    refused(BufferError, lambda: tensor.__dlpack__(stream=4096), "0x1000", "use_stream")
                    refused(BufferError, lambda: tensor.__dlpack__(dl_device=(1, 0)), compute)
                stats = session.statistics()
                assert stats.passes >= 3 and stats.bytes > 0 and stats.window_bytes <= session.info.window_bytes
            with model.session(host_memory="pinned") as session:
                for block in reversed(model.blocks):
                    session.acquire(block).release()
            del held, tensor
        print("ran on", compute)
"""


def test_streams_and_device_memory():
    for driver in ("cuda", "hip"):
        if not os.path.exists(f"{tap.BUILD}/.libs/dt2-{driver}.so"):
            raise tap.Skip(f"the {driver} driver was not built")
    if not os.path.isdir(f"{tap.BUILD}/tests/sim/lib/.libs"):
        raise tap.Skip("the simulator was not built")
    machine = f"{tap.SOURCE}/tests/data/machines/mixed.sim"
    command = ["/bin/sh", f"{tap.SOURCE}/tests/sim/run", machine, sys.executable, "-c", PROGRAM, tap.layout("tiny")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.stdout.splitlines() == ["ran on cuda:0", "ran on hip:0"], done.stdout


if __name__ == "__main__":
    tap.run_tests()
