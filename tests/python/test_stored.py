# SPDX-License-Identifier: BSD-3-Clause
"""Models stored in other dtypes, and with tensors side by side: as files, plans, models, and in sessions."""

import ctypes
import json

import distorch2
import tap
from distorch2 import Context, File

KV = [f"control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_{part}.weight" for part in "kv"]
BIAS = "control_model.time_embed.0.bias"


def need_opencl(context):
    if "opencl:1" not in [device.name for device in context.devices()]:
        raise tap.Skip("there are no two OpenCL devices")


def test_a_file_is_stored_in_another_dtype():
    with File(tap.layout("tiny")) as file:
        with file.stored("f32") as stored:
            assert (file.dtype, stored.dtype) == ("keep", "F32")
            assert stored.total_bytes == 2 * file.total_bytes and stored.family == file.family
            assert [block.name for block in stored.blocks] == [block.name for block in file.blocks]
            assert {tensor.dtype for tensor in stored.tensors} == {"F32"}
            halves = (ctypes.c_uint16 * 64).from_buffer(file.read(BIAS))
            floats = (ctypes.c_float * 64).from_buffer(stored.read(BIAS))
            for half, value in zip(halves, floats):
                sign, exponent, mantissa = half >> 15, half >> 10 & 31, half & 1023
                if exponent < 31:
                    wanted = (mantissa + (1024 if exponent else 0)) * 2.0 ** (max(exponent, 1) - 25)
                    assert value == (-wanted if sign else wanted)
        with tap.raises(distorch2.UsageError, "no dtype 'f12'"):
            file.stored("f12")


def test_each_tensor_has_its_own_dtype():
    with File(tap.layout("tiny")) as file:
        by_name = file.stored({BIAS: "f32"})
        assert {tensor.name for tensor in by_name.tensors if tensor.dtype == "F32"} == {BIAS}
        by_rank = file.stored(lambda info: "bf16" if len(info.shape) == 4 else None)
        assert all((tensor.dtype == "BF16") == (len(tensor.shape) == 4) for tensor in by_rank.tensors)
        assert by_rank.dtype == "mixed"
    assert by_name.read(BIAS)  # the file itself is closed
    with tap.raises(ZeroDivisionError):
        File(tap.layout("tiny")).stored(lambda info: 1 // 0)


def test_gangs_lie_side_by_side_wherever_they_are():
    with Context() as context, File(tap.layout("tiny")) as file:
        need_opencl(context)
        stored = file.stored("bf16", gangs={"fused": KV})
        assert stored.tensors[-1].name == "fused" and stored.tensors[-1].shape == (128, 768)
        assert stored.total_bytes == file.total_bytes
        fused = bytes(stored.read("fused"))
        assert fused == bytes(stored.read(KV[0])) + bytes(stored.read(KV[1]))
        for spread in ("cpu,*", "opencl:0,*", "cpu,30%;opencl:0,30%;opencl:1,*"):
            with context.load(
                stored, compute_device="opencl:0", virtual_vram_gb=0, expert_mode_allocations=spread, verify=True
            ) as model:
                assert bytes(model.tensors["fused"].read()) == fused
                assert bytes(model.tensors[KV[1]].read()) == fused[len(fused) // 2 :]
                with model.session() as session:
                    session.verify(stored)
        unnamed = file.stored(gangs=[KV])
        assert unnamed.tensors[-1].name == "+".join(KV)
        with tap.raises(distorch2.UsageError, "another dtype"):
            file.stored({KV[0]: "f32"}, gangs=[KV])


def test_requests_say_the_dtype():
    with Context() as context, File(tap.layout("tiny")) as file:
        plan = context.plan(file, compute_device="cpu", dtype="f32")
        assert json.loads(plan.document)["model"]["dtype"] == "F32"
        assert sum(share.bytes for share in plan.shares) == 2 * file.total_bytes
        with context.devices() as devices:
            assert distorch2.make_plan(devices, file, compute_device="cpu", dtype="f32").shares == plan.shares
        with context.load(tap.layout("tiny"), compute_device="cpu", dtype={BIAS: "f32"}, verify=True) as model:
            assert model.tensors[BIAS].dtype == "F32" and model.tensors[KV[0]].dtype == "F16"
            assert model.statistics.bytes == file.total_bytes + 128


if __name__ == "__main__":
    tap.run_tests()
