# SPDX-License-Identifier: BSD-3-Clause
"""Running a loaded model: blocks that lie on donors reach the compute device in time, through a window."""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Iterator, Mapping
from ctypes import byref
from dataclasses import dataclass
from functools import partial
from typing import Any, Optional, Union

from . import _native
from ._core import call, made, text
from ._handle import Call, Handle
from ._native import lib
from ._watch import ProgressFunction, Watch
from .errors import DistorchError, ExportError, UsageError
from .file import Block, File
from .model import Model
from .sizes import Size, in_bytes
from .tensor import Tensor


class Span(enum.IntEnum):
    """Which passes statistics are about."""

    TOTAL = 0
    THIS_PASS = 1
    LAST_PASS = 2


@dataclass(frozen=True)
class SessionStatistics:
    """What a session did. Resident blocks are not counted."""

    passes: int
    bytes: int
    acquires: int
    hits: int
    stalls: int
    stall_seconds: float
    window_bytes: int


@dataclass(frozen=True)
class SessionInfo:
    """What a session has, and will do."""

    compute_device: str
    pass_bytes: int
    """That lie on donors: what a pass streams, unless the window can hold on to some."""
    largest_bytes: int
    window_bytes: int
    staging_bytes: int
    pinned_bytes: int
    streamed_blocks: int
    parked: bool


class Held(Mapping):  # type: ignore[type-arg]
    """A block that is held on the compute device: its tensors by name. Leaving ``with`` releases it."""

    def __init__(self, session: Session, block: Block) -> None:
        self.block = block
        self._session = session
        self._released = False

    def release(self) -> None:
        """Gives the block back, once. Arrays that are views of its tensors hold it on by themselves."""
        if not self._released:
            with Call(self._session._use, even_ended=True) as session:
                call(lib.dt2_session_release, session, self.block.index)
            self._released = True

    @property
    def _names(self) -> dict[str, int]:
        infos = self._session.model._infos
        return {infos[i].name: i for i in self.block.tensors}

    def __getitem__(self, name: str) -> Tensor:
        index = self._names[name]
        return Tensor(self._session.model, self._session, index, self._session.model._infos[index])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self.block.tensors)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<Held {self.block.name}{', released' if self._released else ''}>"


def _end(pointer: int) -> bool:
    """Closing is refused while an array still holds a block."""
    error = _native.error()
    return bool(lib.dt2_session_close(pointer, byref(error)) >= 0)


def stream_number(stream: Any) -> int:
    """A stream as its address: of an integer, or of what has one (``torch.cuda.Stream``)."""
    if isinstance(stream, int):
        return stream
    for attribute in ("cuda_stream", "ptr", "int_ptr"):
        if isinstance(getattr(stream, attribute, None), int):
            return int(getattr(stream, attribute))
    raise UsageError(f"{stream!r} is no stream: give its address, or an object with cuda_stream")


class Session(Handle):
    """Open on a loaded model, which it borrows. Any thread may use it; leaving ``with`` closes it."""

    _what = "session"

    def __init__(
        self,
        model: Model,
        *,
        window_bytes: Size = 0,
        host_memory: str = "auto",
        pinned_bytes: Size = 0,
        staging_bytes: Size = 0,
        stream: Any = None,
    ) -> None:
        """``window_bytes``: of the window, 0 for what the plan charged. ``host_memory``: how shares in host
        memory lie: "auto", pinned where they are piece by piece while passes run; "pinned", before this returns;
        "pageable", not pinned. ``pinned_bytes`` of them at most (0: all that may be). ``staging_bytes``: host memory for staging at most
        (0: 32 MiB). ``stream``: the queue on which the readers of the weights run (CUDA and HIP: its address, 0 the
        default stream, or a ``torch.cuda.Stream``; OpenCL: a ``cl_command_queue``); without one the bytes are there
        when :meth:`acquire` returns.
        """
        if host_memory not in ("auto", "pageable", "pinned"):
            raise UsageError(f"host_memory is {host_memory!r}", "it is 'auto', 'pageable' or 'pinned'")
        options = _native.session_options(
            ctypes.sizeof(_native.session_options),
            in_bytes(window_bytes, "window_bytes"),
            _native.ENUMS[f"DT2_HOST_{host_memory.upper()}"],
            in_bytes(pinned_bytes, "pinned_bytes"),
            in_bytes(staging_bytes, "staging_bytes"),
            stream is not None,
            None if stream is None else stream_number(stream),
        )
        with model._call() as pointer:
            opened = made(lib.dt2_session_open, pointer, byref(options))
        super().__init__(opened, _end, model, within=model._context)
        self.model = model
        self._stream = None if stream is None else stream_number(stream)
        self.compute_device = self.info.compute_device
        """The name of the device on which blocks are acquired."""

    def close(self) -> None:
        """Waits for copies under way, and gives everything back. Raises :class:`BusyError` while a streamed block is
        held. Where calls of other threads are in flight it does not wait: no more begin, and all is given back with the last
        of them, and of what is held."""
        if not self.closed:
            self._check_process()
            self._use.end(partial(call, lib.dt2_session_close))

    def block(self, which: Union[int, str, Block, Tensor]) -> Block:
        """A block by index or name, or the block of a tensor, by itself or its name."""
        if isinstance(which, Block):
            return which
        if isinstance(which, Tensor):
            return self.model.blocks[which.block]
        if isinstance(which, int):
            return self.model.blocks[which]
        found = next((block for block in self.model.blocks if block.name == which), None)
        return found or self.model.blocks[self.model.tensor(which).block]

    def acquire(self, which: Union[int, str, Block, Tensor], *, host: bool = False) -> Held:
        """Makes a block usable on the compute device until it is released: ``with session.acquire(...) as held:``.

        ``host``: return only when its bytes are there for the host too, whatever the stream.
        """
        block = self.block(which)
        with self._call() as session:
            call(lib.dt2_session_acquire, session, block.index, _native.ENUMS["DT2_ACQUIRE_HOST"] * host)
            held = Held(self, block)
            if self.closed:  # by another thread, meanwhile
                held.release()
                raise UsageError("this session is closed")
            return held

    def streams(self, which: Union[int, str, Block, Tensor]) -> bool:
        """Whether acquiring the block may copy."""
        index = self.block(which).index
        with self._call() as session:
            return bool(lib.dt2_session_streams(session, index))

    def use_stream(self, stream: Any) -> None:
        """Goes on with another stream; only for a session that was opened with one."""
        number = stream_number(stream)
        with self._call() as session:
            call(lib.dt2_session_use_stream, session, number)
            self._stream = number

    def _check_stream(self, stream: Any) -> None:
        """Whether a DLPack consumer on ``stream`` reads in the session's order: -1 says that it sees to that itself.
        The default stream is 1, or None, for CUDA, and 0 for HIP. On the host there is none."""
        if self._stream is None or stream == -1:
            return
        number = 0 if stream in (None, 0, 1) else stream
        if number != self._stream:
            raise ExportError(
                f"the consumer's stream {number:#x} is not the session's, {self._stream:#x}",
                "Session.use_stream() changes it",
            )

    def next_pass(self) -> None:
        """Says that a pass through the network ends here; else a pass ends when its first block is acquired again."""
        with self._call() as session:
            lib.dt2_session_next_pass(session)

    def statistics(self, span: Span = Span.TOTAL) -> SessionStatistics:
        """What it did in all, in this pass, or in the last one."""
        raw = _native.session_stats()
        with self._call() as session:
            call(lib.dt2_session_statistics, session, int(span), byref(raw))
        return SessionStatistics(
            raw.passes, raw.bytes, raw.acquires, raw.hits, raw.stalls, raw.stall_ns / 1e9, raw.window_bytes
        )

    @property
    def info(self) -> SessionInfo:
        """What it has, and will do."""
        raw = _native.session_info()
        with self._call() as session:
            call(lib.dt2_session_info, session, byref(raw))
            compute_device = raw.compute_device.decode()
        return SessionInfo(
            compute_device,
            raw.pass_bytes,
            raw.largest_bytes,
            raw.window_bytes,
            raw.staging_bytes,
            raw.pinned_bytes,
            raw.streamed_blocks,
            raw.parked,
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Its warnings, a sentence each: a memory that could not be pinned."""
        with self._call() as session:
            count = lib.dt2_session_warning_count(session)
            return tuple(text(lib.dt2_session_warning(session, i)) or "" for i in range(count))

    def verify(self, file: File, progress: Optional[ProgressFunction] = None) -> int:
        """One pass in which every tensor that streams is compared, where it arrives on the compute device, with that of
        ``file``, from which the model was loaded. Returns how many bytes that were. Other bytes are an error that names
        tensor and donor. ``progress`` as for a load."""
        watch = Watch(progress)
        verified = ctypes.c_uint64()
        try:
            with self._call() as session, file._call() as compared:
                call(lib.dt2_session_verify, session, compared, watch.callback, watch.data, byref(verified))
        except DistorchError:
            if watch.raised is None:
                raise
            raise watch.raised from None
        return verified.value

    def park(self) -> None:
        """Gives window and staging memory back while the network is not needed; what is pinned stays so."""
        with self._call() as session:
            call(lib.dt2_session_park, session)

    def unpark(self) -> None:
        """Takes all of it back, and begins to fetch."""
        with self._call() as session:
            call(lib.dt2_session_unpark, session)

    def __repr__(self) -> str:
        return "<Session, closed>" if self.closed else f"<Session of {self.model.name} on {self.compute_device}>"
