# SPDX-License-Identifier: BSD-3-Clause
"""Tier 3: a loaded model, whose tensors live on several devices."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from ctypes import byref, c_size_t, c_uint64
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Optional, Union

from . import _native
from ._core import call, encode, failure, known, texts
from ._handle import Handle, frees
from ._native import lib
from .errors import BusyError
from .file import Block, TensorInfo, block_of, tensor_info
from .plan import Plan, plan_of
from .sizes import Size, in_bytes
from .tensor import Tensor

if TYPE_CHECKING:
    from .session import Session

_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class DeviceProgress:
    """How far one device's share is."""

    device: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class Progress:
    """How far a load is. ``verifying``: bytes are read back and compared; ``waiting``: nothing has begun, since other processes
    promised to take the memory; else bytes are being loaded."""

    model: str
    verifying: bool
    waiting: bool
    done_bytes: int
    total_bytes: int
    seconds: float
    devices: tuple[DeviceProgress, ...]


def progress_of(raw: _native.progress) -> Progress:
    devices = (raw.devices[i][0] for i in range(raw.device_count))
    return Progress(
        model=os.fsdecode(raw.model),
        verifying=raw.verifying,
        waiting=raw.waiting,
        done_bytes=raw.done_bytes,
        total_bytes=raw.total_bytes,
        seconds=raw.elapsed_ns / 1e9,
        devices=tuple(DeviceProgress(each.device.decode(), each.done_bytes, each.total_bytes) for each in devices),
    )


@dataclass(frozen=True)
class DeviceStatistics:
    """One device's part of a load."""

    device: str
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Statistics:
    """What a load did; ``verified_bytes`` is None when it was not verified.

    ``direct_bytes`` were read past the page cache; ``queue_depth`` reads were under way at once, and ``engine``, "threads" or
    "io_uring", waited for them. ``shared_bytes`` lie in memory of all processes of the user, of which this load filled
    ``filled_bytes``; ``share_users`` processes used it then.
    """

    bytes: int
    seconds: float
    staging_bytes: int
    verified_bytes: Optional[int]
    devices: tuple[DeviceStatistics, ...]
    ejected: tuple[str, ...]
    direct_bytes: int
    queue_depth: int
    engine: str
    shared_bytes: int
    filled_bytes: int
    share_users: int


class Tensors(Mapping):  # type: ignore[type-arg]
    """The tensors of a model by name, in the order of the file; :meth:`at` takes an index."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def at(self, index: int) -> Tensor:
        """The tensor of that index."""
        return Tensor(self._model, None, index, self._model._infos[index])

    def __getitem__(self, name: str) -> Tensor:
        try:
            return self.at(self._model._indices[name])
        except KeyError:
            raise KeyError(name) from None

    def __contains__(self, name: object) -> bool:
        return name in self._model._indices

    def __iter__(self) -> Iterator[str]:
        return iter(self._model._indices)

    def __len__(self) -> int:
        return len(self._model._infos)


_viewers: dict[int, weakref.WeakSet[Any]] = {}


def viewers_of(pointer: int) -> weakref.WeakSet[Any]:
    """Those who look at resident tensors of a model for longer than a call, such as attachments; each has
    ``_given_way()``, within which it does not."""
    return _viewers.setdefault(pointer, weakref.WeakSet())


class Model(Handle):
    """A handle to a loaded model. Leaving ``with`` unloads it; so does :meth:`unload`. Without either it stays
    loaded, in its context's registry, until another load ejects it or the context is closed."""

    _what = "model"

    def __init__(self, pointer: int, context: Handle) -> None:
        super().__init__(pointer, frees(lib.dt2_model_unref), context, within=context)
        self._context = context

    def __exit__(self, *_: object) -> None:
        if not self.closed:
            self.unload()
        self.close()

    @property
    def name(self) -> str:
        """Under which it is registered."""
        with self._call() as model:
            return os.fsdecode(lib.dt2_model_name(model))

    @property
    def path(self) -> str:
        """Of its file."""
        with self._call() as model:
            return os.fsdecode(lib.dt2_model_path(model))

    @property
    def loaded(self) -> bool:
        """Whether its bytes are on the devices; a hint unless it is borrowed."""
        with self._call() as model:
            return bool(lib.dt2_model_loaded(model))

    @cached_property
    def plan(self) -> Plan:
        """The plan that was applied."""
        with self._call() as model:
            return plan_of(lib.dt2_model_applied_plan(model))

    @cached_property
    def statistics(self) -> Statistics:
        """What the load did."""
        with self._call() as model:
            raw = lib.dt2_model_statistics(model)[0]
            devices = (raw.devices[i][0] for i in range(raw.device_count))
            return Statistics(
                bytes=raw.bytes,
                seconds=raw.ns / 1e9,
                staging_bytes=raw.staging_bytes,
                verified_bytes=known(raw.verified_bytes),
                devices=tuple(DeviceStatistics(each.device.decode(), each.bytes, each.ns / 1e9) for each in devices),
                ejected=texts(raw.ejected, raw.ejected_count),
                direct_bytes=raw.direct_bytes,
                queue_depth=raw.queue_depth,
                engine=raw.engine.decode(),
                shared_bytes=raw.shared_bytes,
                filled_bytes=raw.filled_bytes,
                share_users=raw.share_users,
            )

    @cached_property
    def _infos(self) -> tuple[TensorInfo, ...]:
        with self._call() as model:
            count = lib.dt2_model_tensor_count(model)
            return tuple(tensor_info(lib.dt2_model_tensor(model, i)[0]) for i in range(count))

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {info.name: i for i, info in enumerate(self._infos)}

    @property
    def tensors(self) -> Tensors:
        """Its tensors by name."""
        return Tensors(self)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Its blocks in execution order; their ``tensors`` are indices for ``tensors.at()``."""
        with self._call() as model:
            count = lib.dt2_model_block_count(model)
            return tuple(block_of(i, lib.dt2_model_block(model, i)[0]) for i in range(count))

    def tensor(self, name: Union[str, int]) -> Tensor:
        """A tensor by name or index; the error names the nearest when there is none."""
        if isinstance(name, int):
            return self.tensors.at(name)
        if name not in self._indices:
            with self._call() as model:
                call(lib.dt2_model_find, model, encode(name), byref(c_size_t()))
        return self.tensors[name]

    @contextmanager
    def borrow(self) -> Iterator[Model]:
        """``with model.borrow():`` it is not ejected and not unloaded, and native addresses stay valid."""
        with self._call() as model:
            call(lib.dt2_model_borrow, model)
            lib.dt2_model_ref(model)  # this handle may be closed meanwhile
        pid = os.getpid()
        try:
            yield self
        finally:
            if pid == os.getpid():
                lib.dt2_model_return(model)
                lib.dt2_model_unref(model)

    def unload(self, wait: bool = False, timeout: Optional[float] = None) -> None:
        """Gives all of its memory back, on every device; what is unloaded already stays so.

        With borrowers (sessions, arrays that are views of its tensors) this raises :class:`BusyError`; with ``wait`` it
        first waits for them, for ``timeout`` seconds at most, or until Ctrl-C.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            error = _native.error()
            with self._call() as model:
                if lib.dt2_model_unload(model, _native.ENUMS["DT2_UNLOAD_REFUSE"], byref(error)) >= 0:
                    return
            if not wait or (end is not None and time.monotonic() >= end):
                raise BusyError(
                    failure(error).text, "close its sessions, and let go of the arrays that are views of its tensors"
                )
            time.sleep(_POLL_SECONDS)

    @contextmanager
    def _moving(self) -> Iterator[int]:
        """While blocks move, who looks at resident ones lets go of them, unless it runs just then."""
        with self._call() as model, ExitStack() as stack:
            for viewer in list(viewers_of(model)):
                stack.enter_context(viewer._given_way())
            yield model

    def evict(self, wanted: Size, device: Optional[str] = None) -> int:
        """Makes room on the compute device: resident blocks become streamed ones until ``wanted`` bytes more are free
        there, or no more may go. They lie with a donor that has room then, else in host memory, else in the file alone.
        Sessions and attachments stay as they are, and run on. ``device`` is the compute device.

        Returns the bytes that were freed: fewer when nothing more may go, such as blocks that are held, or that an array is
        a view of. Raises :class:`BusyError` while the model is borrowed by others than sessions.
        """
        freed = c_uint64()
        with self._moving() as model:
            call(lib.dt2_model_evict, model, device and encode(device), in_bytes(wanted, "wanted"), byref(freed))
        return freed.value

    def restore(self) -> int:
        """Brings back what was evicted, and returns how many bytes that were. Raises :class:`NoFitError` when the device
        has no room for all, and :class:`BusyError` when some of it is held: what could come is back then."""
        restored = c_uint64()
        with self._moving() as model:
            call(lib.dt2_model_restore, model, byref(restored))
        return restored.value

    def held(self, device: Optional[str] = None) -> int:
        """Bytes that it holds on a device by now, windows of its sessions included; on all of them without one. "cpu" is
        all host memory."""
        with self._call() as model:
            return int(lib.dt2_model_held(model, device and encode(device)))

    def session(self, **options: Any) -> Session:
        """Opens a :class:`Session`, through which the model's blocks reach its compute device; options as there."""
        from .session import Session

        return Session(self, **options)

    def __repr__(self) -> str:
        return "<Model, closed>" if self.closed else f"<Model {self.name}>"
