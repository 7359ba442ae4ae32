# SPDX-License-Identifier: BSD-3-Clause
"""Tensors as arrays of torch and numpy: the same bytes at the same place, in every dtype that they have."""

import gc

import distorch2
import numpy
import tap
import torch
from distorch2 import Context
from distorch2.torch import DTYPES
from safetensors.torch import save_file

SEED = 5


def saved():
    """A file with a tensor of each dtype, and odd shapes; and what is in it."""
    torch.manual_seed(SEED)
    tensors = {}
    for name in ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"):
        tensors[name] = torch.randn(5, 3, 7).to(getattr(torch, name))
    for name in ("int64", "int32", "int16", "int8", "uint8"):
        tensors[name] = torch.randint(0, 100, (11,)).to(getattr(torch, name))
    tensors["bool"] = torch.rand(4, 4) > 0.5
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.empty(0, 3)
    path = tap.scratch("dtypes.safetensors")
    save_file(tensors, path)
    return path, tensors


def bits(tensor):
    return tensor.contiguous().view(torch.uint8) if tensor.dim() else tensor.reshape(1).view(torch.uint8)


def test_torch_takes_every_dtype_that_it_has():
    path, tensors = saved()
    refused = []
    with Context() as context, context.load(path, compute_device="cpu") as model:
        for name, expected in tensors.items():
            tensor = model.tensor(name)
            assert DTYPES[tensor.dtype] == expected.dtype, name
            try:
                got = torch.from_dlpack(tensor)
            except (BufferError, RuntimeError) as problem:
                refused.append(name)
                tap.diag(f"this torch does not take {name}: {problem}")
                continue
            assert got.dtype == expected.dtype and got.shape == expected.shape, name
            assert torch.equal(bits(got), bits(expected)), name
            if expected.numel():
                assert got.data_ptr() == tensor.native().handle, f"{name} was copied"
            del got
        assert not [name for name in refused if "float8" not in name], refused


def test_numpy_takes_what_it_has_and_says_what_it_has_not():
    path, tensors = saved()
    with Context() as context, context.load(path, compute_device="cpu") as model:
        for name, expected in tensors.items():
            tensor = model.tensor(name)
            if expected.dtype in (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2):
                with tap.raises(distorch2.ExportError, name, "numpy has no"):
                    tensor.numpy()
                continue
            array = numpy.from_dlpack(tensor)
            assert numpy.array_equal(array, expected.numpy()) and array.shape == tuple(expected.shape), name
            if expected.numel():
                assert not tensor.numpy().flags.writeable
                assert array.ctypes.data == tensor.native().handle, f"{name} was copied"
            del array


def test_arrays_outlive_what_they_came_from():
    path, tensors = saved()
    context = Context()
    model = context.load(path, compute_device="cpu")
    view = torch.from_dlpack(model.tensor("float32"))[1:, 2]
    array = model.tensor("float64").numpy()[2]
    del model, context
    gc.collect()
    assert torch.equal(view, tensors["float32"][1:, 2])
    assert numpy.array_equal(array, tensors["float64"].numpy()[2])
    del view, array


def test_a_model_is_unloaded_when_the_last_array_is_gone():
    path, _ = saved()
    with Context() as context:
        model = context.load(path, compute_device="cpu")
        arrays = [torch.from_dlpack(model.tensor("float32")), numpy.from_dlpack(model.tensor("float64"))]
        while arrays:
            with tap.raises(distorch2.BusyError):
                model.unload()
            arrays.pop()
        model.unload()


def test_an_array_of_a_window_holds_its_slot():
    path, tensors = saved()
    with Context() as context:
        if "opencl:0" not in [device.name for device in context.devices()]:
            raise tap.Skip("there is no OpenCL device")
        with context.load(path, compute_device="cpu", expert_mode_allocations="opencl:0,*") as model:
            with model.session() as session:
                with session.acquire("float32") as held:
                    array = torch.from_dlpack(held["float32"])
                for block in model.blocks:
                    session.acquire(block).release()
                assert torch.equal(array, tensors["float32"])
                del array
            with tap.raises(BufferError, "OpenCL"):
                torch.from_dlpack(model.tensor("float32"))


if __name__ == "__main__":
    tap.run_tests()
