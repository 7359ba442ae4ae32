# SPDX-License-Identifier: BSD-3-Clause
"""A tensor of a loaded model: where it lies, its bytes, and itself as an array of another library, without a copy."""

from __future__ import annotations

import ctypes
import enum
import threading
from contextlib import nullcontext
from ctypes import byref, c_int, c_void_p
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

from . import _native
from ._core import call, failure
from ._native import lib
from .errors import ExportError
from .file import TensorInfo, read_tensor

if TYPE_CHECKING:
    from .model import Model
    from .session import Session


class DLDeviceType(enum.IntEnum):
    """What DLPack calls kinds of devices."""

    CPU = 1
    CUDA = 2
    CUDA_HOST = 3
    OPENCL = 4
    ROCM = 10


@dataclass(frozen=True)
class Native:
    """A place in the terms of a device's own runtime: an address, or for OpenCL a ``cl_mem`` and an offset in it."""

    device: str
    handle: Optional[int]
    offset: int


new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype = ctypes.py_object
new_capsule.argtypes = [c_void_p, c_void_p, c_void_p]

# A capsule does not copy its name, and may outlive this module: the names are never freed.
_NAMES = tuple(ctypes.create_string_buffer(name) for name in (b"dltensor", b"dltensor_versioned"))
for _name in _NAMES:
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_name))
_NAME_ADDRESSES = tuple(c_void_p(ctypes.addressof(name)) for name in _NAMES)
CAPSULE_NAME = _NAME_ADDRESSES[0]  # of one without a version
CAPSULE_DESTRUCTOR = ctypes.cast(lib.dt2_dlpack_capsule_free, c_void_p)

_dlpack = lib.dt2_tensor_dlpack
UNVERSIONED = _native.ENUMS["DT2_DLPACK_UNVERSIONED"]
VERSIONED = _native.ENUMS["DT2_DLPACK_VERSIONED"]
_KINDS = (c_int(UNVERSIONED), c_int(VERSIONED))


class _Scratch(threading.local):
    """Memory for the answers of one thread's calls, so that the fast path makes none."""

    def __init__(self) -> None:
        self.error = _native.error()
        self.managed = c_void_p()
        self.error_ref = byref(self.error)
        self.managed_ref = byref(self.managed)


scratch = _Scratch()


def capsule(model: Any, session: Any, index: Any, kind: int = UNVERSIONED) -> Any:
    """A PyCapsule of a tensor, by handles. Its destructor, and the deleter in it, are C of the library.

    Arguments may be numbers or, which is faster, C's: ``c_void_p`` and ``c_size_t``.
    """
    answer = scratch.__dict__  # of this thread
    if _dlpack(model, session, index, _KINDS[kind], answer["managed_ref"], answer["error_ref"]) < 0:
        error = answer["error"]
        raise failure(error, ExportError if error.code == _native.ENUMS["DT2_EUSAGE"] else None)
    return new_capsule(answer["managed"], _NAME_ADDRESSES[kind], CAPSULE_DESTRUCTOR)


_NO_NUMPY = {"BF16": "bfloat16", "F8_E4M3": "float8", "F8_E5M2": "float8", "F8_E8M0": "float8", "F4": "float4"}


class Tensor:
    """A tensor of a loaded model, or, from a :class:`Held` block, of a session's window.

    It implements DLPack (``__dlpack__``): ``torch.from_dlpack(tensor)`` and ``numpy.from_dlpack(tensor)`` are views of
    the model's own bytes, which nobody should write to. Each view borrows the model: it is not unloaded before the
    view is gone. A view of a window's tensor holds its block in the window as well.
    """

    __slots__ = ("index", "info", "_model", "_session")

    def __init__(self, model: Model, session: Optional[Session], index: int, info: TensorInfo) -> None:
        self._model = model
        self._session = session
        self.index = index
        self.info = info

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def dtype(self) -> str:
        """The safetensors name: "F16", "BF16", "F8_E4M3", ..."""
        return self.info.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.info.shape

    @property
    def nbytes(self) -> int:
        return self.info.bytes

    @property
    def device(self) -> str:
        """The device where it lies; of a window's tensor the compute device."""
        if self._session is not None:
            return self._session.compute_device
        with self._model._call() as model:
            return lib.dt2_model_device(model, self.index).decode()  # type: ignore[no-any-return]

    @property
    def block(self) -> int:
        """The index of its block."""
        with self._model._call() as model:
            return int(lib.dt2_model_tensor_block(model, self.index))

    def native(self) -> Native:
        """Its address, good while the model is borrowed, or while its block is held."""
        raw = _native.native()
        handle: Any = self._model if self._session is None else self._session
        function = lib.dt2_model_native if self._session is None else lib.dt2_session_native
        with handle._call() as pointer:
            call(function, pointer, self.index, byref(raw))
            return Native(raw.device.decode(), raw.handle, raw.offset)

    def read(self, into: Any = None) -> Any:
        """A copy of its bytes from whatever device it lies on: a new bytearray, or ``into``, of exactly its size."""
        with self._model._call() as model:
            return read_tensor(lib.dt2_model_read, model, self.index, self.info.bytes, into)

    def numpy(self) -> Any:
        """A read-only numpy array without a copy. Refused for dtypes that numpy does not have, and off the host."""
        import numpy

        if self.dtype in _NO_NUMPY:
            raise ExportError(
                f"{self.name} is {self.dtype}, and numpy has no {_NO_NUMPY[self.dtype]}",
                "torch.from_dlpack() takes it; read() gives its bytes",
            )
        return numpy.from_dlpack(self)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Where it is, in DLPack's numbers."""
        raw = _native.dlpack_device()
        error = _native.error()
        with self._model._call() as model, self._session_call() as session:
            if lib.dt2_tensor_dlpack_device(model, session, self.index, byref(raw), byref(error)) < 0:
                raise failure(error, ExportError if error.code == _native.ENUMS["DT2_EUSAGE"] else None)
        return raw.type, raw.id

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: Optional[tuple[int, int]] = None,
        dl_device: Optional[tuple[int, int]] = None,
        copy: Optional[bool] = None,
    ) -> Any:
        """A capsule for ``from_dlpack()``: versioned, and read-only, for consumers that say that they know of
        versions."""
        if copy:
            raise ExportError(f"{self.name} is exported without a copy", "read() makes one")
        if dl_device is not None and tuple(dl_device) != self.__dlpack_device__():
            raise ExportError(f"{self.name} is on {self.device}, and is not copied to another device")
        if self._session is not None:
            self._session._check_stream(stream)
        versioned = max_version is not None and max_version[0] >= 1
        with self._model._call() as model, self._session_call() as session:
            return capsule(model, session, self.index, VERSIONED if versioned else UNVERSIONED)

    def _session_call(self) -> Any:
        """A call in flight with the session, if there is one."""
        return nullcontext() if self._session is None else self._session._call()

    def __reduce__(self) -> Any:
        raise TypeError("a tensor of a loaded model cannot be pickled: it belongs to this process")

    def __repr__(self) -> str:
        return f"<Tensor {self.name} {self.dtype} {list(self.shape)}>"
