# SPDX-License-Identifier: BSD-3-Clause
"""DLPack without any array library: capsules, what is in them, and how long it lives."""

import ctypes
import gc
import threading

import distorch2
import tap
from distorch2 import Context, DLDeviceType

SPREAD = "cpu,30%;opencl:0,*"


class DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class Unversioned(ctypes.Structure):
    _fields_ = [
        ("tensor", DLTensor),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
    ]


class Versioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        ("flags", ctypes.c_uint64),
        ("tensor", DLTensor),
    ]


python = ctypes.pythonapi
python.PyCapsule_GetPointer.restype = ctypes.c_void_p
python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
python.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]
USED = b"used_dltensor"


def consume(capsule):
    """Takes a capsule over as an array library does; the address of the structure."""
    address = python.PyCapsule_GetPointer(capsule, b"dltensor")
    python.PyCapsule_SetName(capsule, USED)
    return address


def delete(address):
    ctypes.cast(address, ctypes.POINTER(Unversioned))[0].deleter(address)


def host_tensors(model):
    return [tensor for tensor in model.tensors.values() if tensor.device == "cpu"]


def test_both_kinds_say_what_the_tensor_is():
    with Context() as context, context.load(tap.layout("tiny"), compute_device="cpu") as model:
        for tensor in model.tensors.values():
            old = tensor.__dlpack__()
            new = tensor.__dlpack__(stream=None, max_version=(1, 0), dl_device=(1, 0), copy=False)
            unversioned = Unversioned.from_address(python.PyCapsule_GetPointer(old, b"dltensor"))
            versioned = Versioned.from_address(python.PyCapsule_GetPointer(new, b"dltensor_versioned"))
            assert versioned.major == 1 and versioned.flags & 1
            for raw in (unversioned.tensor, versioned.tensor):
                assert (raw.device_type, raw.device_id) == tensor.__dlpack_device__() == (DLDeviceType.CPU, 0)
                assert (raw.code, raw.bits, raw.lanes) == (2, 16, 1)
                assert tuple(raw.shape[: raw.ndim]) == tensor.shape
                strides = [1]
                for size in reversed(tensor.shape[1:]):
                    strides.insert(0, strides[0] * size)
                assert raw.strides[: raw.ndim] == strides
                assert raw.data + raw.byte_offset == tensor.native().handle
                assert ctypes.string_at(raw.data, tensor.nbytes) == tensor.read()
            del old, new


def test_a_capsule_borrows_the_model():
    with Context() as context:
        model = context.load(tap.layout("tiny"), compute_device="cpu")
        capsule = model.tensor(0).__dlpack__()
        with tap.raises(distorch2.BusyError, "1 borrower"):
            model.unload()
        del capsule
        model.unload()
        with tap.raises(distorch2.BusyError):
            model.tensor(0).__dlpack__()


def test_a_consumer_deletes_once_from_any_thread():
    with Context() as context:
        model = context.load(tap.layout("tiny"), compute_device="cpu")
        tensor = model.tensor(0)
        expected = tensor.read()
        capsule = tensor.__dlpack__()
        address = consume(capsule)
        del capsule, tensor
        gc.collect()
        with tap.raises(distorch2.BusyError):
            model.unload()
        assert ctypes.string_at(Unversioned.from_address(address).tensor.data, len(expected)) == expected
        thread = threading.Thread(target=delete, args=(address,))
        thread.start()
        thread.join()
        model.unload()


def test_an_array_outlives_model_and_context():
    context = Context()
    model = context.load(tap.layout("tiny"), compute_device="cpu")
    expected = model.tensor(0).read()
    address = consume(model.tensor(0).__dlpack__())
    with tap.raises(distorch2.BusyError):
        context.close()
    assert not context.closed
    del model, context
    gc.collect()
    assert ctypes.string_at(Unversioned.from_address(address).tensor.data, len(expected)) == expected
    from distorch2._handle import lingering

    assert len(lingering._uses) == 1
    delete(address)
    Context().close()
    assert not lingering._uses


def test_what_nobody_can_take_is_refused_in_words():
    with Context() as context:
        if "opencl:0" not in [device.name for device in context.devices()]:
            raise tap.Skip("there is no OpenCL device")
        with context.load(tap.layout("tiny"), compute_device="cpu", expert_mode_allocations=SPREAD) as model:
            tensor = next(tensor for tensor in model.tensors.values() if tensor.device == "opencl:0")
            for refused in (tensor.__dlpack__, tensor.__dlpack_device__):
                with tap.raises(distorch2.ExportError, tensor.name, "OpenCL", "opencl:0"):
                    refused()
            with tap.raises(BufferError):
                tensor.__dlpack__()
            host = host_tensors(model)[0]
            with tap.raises(BufferError, "copy"):
                host.__dlpack__(copy=True)
            with tap.raises(BufferError, "copied"):
                host.__dlpack__(dl_device=(2, 0))


def test_a_window_is_exported_only_while_it_is_held():
    with Context() as context:
        if "opencl:0" not in [device.name for device in context.devices()]:
            raise tap.Skip("there is no OpenCL device")
        with context.load(tap.layout("tiny"), compute_device="cpu", expert_mode_allocations=SPREAD) as model:
            session = model.session()
            block = model.blocks[-1]
            assert session.streams(block)
            with session.acquire(block) as held:
                tensor = next(iter(held.values()))
                address = consume(tensor.__dlpack__())
                assert tensor.__dlpack_device__() == (DLDeviceType.CPU, 0)
            raw = Unversioned.from_address(address).tensor
            # Released, and yet there: the array holds its slot.
            for other in model.blocks[:-1]:
                session.acquire(other).release()
            assert ctypes.string_at(raw.data, tensor.nbytes) == model.tensor(tensor.name).read()
            with tap.raises(distorch2.BusyError):
                session.close()
            delete(address)
            with tap.raises(distorch2.ExportError, block.name):
                tensor.__dlpack__()
            session.close()


def test_a_resident_tensor_of_a_session_outlives_it():
    with Context() as context:
        model = context.load(tap.layout("tiny"), compute_device="cpu")
        session = model.session()
        with session.acquire(0) as held:
            tensor = next(iter(held.values()))
            expected = model.tensor(tensor.name).read()
            address = consume(tensor.__dlpack__())
        session.close()
        with tap.raises(distorch2.BusyError):
            model.unload()
        assert ctypes.string_at(Unversioned.from_address(address).tensor.data, tensor.nbytes) == expected
        delete(address)
        model.unload()


def test_numpy_takes_it():
    try:
        import numpy
    except ImportError:
        raise tap.Skip("numpy is not installed") from None
    with Context() as context, context.load(tap.layout("tiny"), compute_device="cpu") as model:
        for tensor in model.tensors.values():
            array = tensor.numpy()
            assert array.dtype == numpy.float16 and array.shape == tensor.shape and not array.flags.writeable
            assert array.ctypes.data == tensor.native().handle
        del array


if __name__ == "__main__":
    tap.run_tests()
