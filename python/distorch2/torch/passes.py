# SPDX-License-Identifier: BSD-3-Clause
"""What happens around a module's forward: its blocks are held, and its slots filled, while it runs."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, byref, c_int, c_size_t, c_void_p, cast, sizeof
from typing import Any, Optional

import torch

from .. import _native
from .._core import failure
from .._handle import Call
from .._native import lib
from ..errors import FullError, UsageError
from ..session import Session
from ..tensor import CAPSULE_DESTRUCTOR, CAPSULE_NAME, UNVERSIONED, new_capsule
from .relay import first_device, moved
from .weights import Slot, from_capsule

_acquire_dlpack = lib.dt2_session_acquire_dlpack
_release_tensors = lib.dt2_session_release_tensors
_UNVERSIONED = c_int(UNVERSIONED)
_acquire = lib.dt2_session_acquire
_release = lib.dt2_session_release
_thread = threading.get_ident
_grad_enabled = torch.is_grad_enabled
_inference_enabled = torch.is_inference_mode_enabled


class Running:
    """What the units of one attachment share: the session, and which of them are in their forward."""

    __slots__ = (
        "session",
        "called",
        "device",
        "streams",
        "thread",
        "active",
        "suspended",
        "session_arg",
        "model_arg",
        "error",
        "error_ref",
        "_in_flight",
        "_lock",
        "_pid",
    )

    def __init__(self, session: Session, called: str, device: torch.device) -> None:
        self.session = session
        self.called = called
        self.device = device
        self.thread = 0
        self.active: list[Unit] = []
        self.suspended = False
        self.session_arg, self.model_arg = c_void_p(session._ptr), c_void_p(session.model._ptr)
        self.error = _native.error()  # of the one thread that runs
        self.error_ref = byref(self.error)
        self._in_flight: Optional[Call] = None
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self.streams = device.type == "cuda" and session._stream is not None

    def check(self, unit: Unit) -> None:
        """Says why a forward must not begin, or go on."""
        if _grad_enabled():
            raise UsageError(
                f"a forward of {unit.name or self.called} with gradients enabled: its weights are gone when a "
                "backward pass would read them",
                "use torch.no_grad() or torch.inference_mode()",
            )
        if self._pid != os.getpid():
            self.session._check_process()
        if self.suspended:
            raise UsageError(f"a forward of {unit.name or self.called}, which is suspended", "resume() its attachment")

    def begin(self, unit: Unit) -> None:
        """Makes a unit active in this thread, the first or another."""
        self.check(unit)
        thread = _thread()
        with self._lock:
            if self.active and thread != self.thread:
                raise UsageError(
                    f"a forward of {unit.name or self.called} while another thread runs one",
                    "one thread at a time; a module of its own with an attachment of its own runs beside it",
                )
            if not self.active:
                self._in_flight = self._enter()
            self.thread = thread
            self.active.append(unit)
        if self.streams:
            stream = torch.cuda.current_stream(self.device).cuda_stream
            if stream != self.session._stream:
                self.session.use_stream(stream)

    def _enter(self) -> Call:
        """A forward is a call in flight with the session: who closes that meanwhile does not take the weights away."""
        with self.session.model._call():
            call = self.session._call()
            call.__enter__()
            return call

    def end(self, unit: Unit) -> None:
        """A unit is active no longer; with the last of them the call is over."""
        with self._lock:
            self.active.remove(unit)
            if self.active:
                return
            over, self._in_flight = self._in_flight, None
        if over is not None:
            over.__exit__()

    @contextmanager
    def between(self) -> Iterator[bool]:
        """Whether no forward runs; none begins within."""
        with self._lock:
            idle = not self.active
            if idle:
                yield True
        if not idle:
            yield False

    def release_all(self) -> None:
        while self.active:
            self.active[-1].release(failed=True)


class Unit:
    """In the place of a module's ``_call_impl``, which runs its hooks and its forward: weights are there for both."""

    __slots__ = (
        "running",
        "name",
        "module",
        "all_slots",
        "slots",
        "lent",
        "tensors",
        "managed",
        "structures",
        "blocks",
        "copies",
        "depth",
        "acquired",
        "held",
        "filled",
    )

    def __init__(self, running: Running, name: str, module: torch.nn.Module, slots: list[Slot]) -> None:
        self.running = running
        self.name = name
        self.module = weakref.ref(module)  # which has this unit
        self.all_slots = slots
        self.slots: list[Slot] = []
        self.lent = 0
        """How many of its slots, the first, are tensors of the model as they are: one call acquires and exports them."""
        self.tensors: Any = None  # pointers and elements are made once: each costs as much as a call
        self.managed: Any = None
        self.structures: list[c_void_p] = []  # the elements of managed
        self.blocks: list[c_size_t] = []  # of the others
        self.copies = False
        """Whether its weights are copied out of the window, in which they would not let others stream."""
        self.depth = 0
        self.acquired = False
        self.held = 0
        self.filled = 0

    def settle(self) -> bool:
        """Looks which of its slots are resident, and need nothing; tells whether any is not."""
        streamed = [slot for slot in self.all_slots if not slot.resident]
        lent = [slot for slot in streamed if slot.simple and not self.copies]
        others = [slot for slot in streamed if not slot.simple or self.copies]
        held = [slot for slot in others if slot.weight.is_view and not self.copies]
        self.slots = lent + others
        self.lent = len(lent)
        self.tensors = cast((c_size_t * self.lent)(*(slot.index.value for slot in lent)), POINTER(c_size_t))
        managed = (c_void_p * self.lent)()
        self.managed = cast(managed, POINTER(c_void_p))
        self.structures = [c_void_p.from_buffer(managed, i * sizeof(c_void_p)) for i in range(self.lent)]
        self.blocks = [c_size_t(block) for block in dict.fromkeys(slot.weight.spans[0].block for slot in held)]
        return bool(self.slots)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        module = self.module()
        call = type(module)._call_impl  # type: ignore[union-attr]
        if self.depth and self.running.thread == _thread():  # a module within itself
            return call(module, *args, **kwargs)
        failed = True
        self.enter()
        try:
            result = call(module, *args, **kwargs)
            failed = False
            return result
        finally:
            self.release(failed)

    def enter(self) -> None:
        running = self.running
        if not running.active or running.thread != _thread() or _grad_enabled() or running.streams:
            running.begin(self)
        else:
            running.active.append(self)
        self.depth = 1
        try:
            if self.slots:
                if _inference_enabled():  # a tensor that is made in this mode meets other kernels
                    with torch.inference_mode(False), torch.no_grad():
                        self._fill(running)
                else:
                    self._fill(running)
        except BaseException as failed:
            self.release(failed=True)
            if not isinstance(failed, FullError) or self.copies:
                raise
            self.copies = True
            self.settle()
            self.enter()

    def _fill(self, running: Running) -> None:
        """One frame, and one call, for all of them: calls are what a pass through small layers is made of."""
        session, error = running.session_arg, running.error_ref
        for block in self.blocks:
            if _acquire(session, block, 0, error) < 0:
                raise failure(running.error)
            self.held += 1
        if self.lent:
            if _acquire_dlpack(session, self.tensors, self.lent, 0, _UNVERSIONED, self.managed, error) < 0:
                raise failure(running.error)
            self.acquired = True
            capsules = [new_capsule(each, CAPSULE_NAME, CAPSULE_DESTRUCTOR) for each in self.structures]  # theirs to delete
            for slot, capsule in zip(self.slots, capsules):
                if slot.users == 0:
                    value = from_capsule(capsule)
                    if slot.is_parameter:
                        value._is_param = True  # an nn.Parameter, without a second tensor for it
                        if slot.grad:
                            value.requires_grad_()
                    slot.value = slot.entries[slot.key] = value
                slot.users += 1
                self.filled += 1
            if self.filled == len(self.slots):
                return
        for slot in self.slots[self.lent :]:
            if slot.users == 0:
                make = slot.view if slot.weight.is_view and not self.copies else slot.copy
                slot.value = slot.entries[slot.key] = make(running.model_arg, session)
            slot.users += 1
            self.filled += 1

    def release(self, failed: bool) -> None:
        """Gives all of it back, also what an entry that failed had got so far."""
        running = self.running
        self.depth = 0
        while self.filled:
            self.filled -= 1
            slot = self.slots[self.filled]
            if failed or slot.buffer is not None:
                slot.leave(failed)
            else:
                slot.users -= 1
                if slot.users == 0:
                    slot.entries[slot.key] = slot.absent
                    slot.value = None
        refused: Optional[Exception] = None
        if self.acquired:
            self.acquired = False
            if _release_tensors(running.session_arg, self.tensors, self.lent, running.error_ref) < 0:
                refused = failure(running.error)
        while self.held:
            self.held -= 1
            if _release(running.session_arg, self.blocks[self.held], running.error_ref) < 0:
                refused = failure(running.error)
        running.end(self)
        if refused is not None:
            raise refused

    def __deepcopy__(self, _memo: Any) -> Any:
        raise TypeError("a module that is attached to a model cannot be copied: detach() it first")

    def __reduce__(self) -> Any:
        raise TypeError("a module that is attached to a model cannot be pickled: detach() it first")


class Root(Unit):
    """The module that was attached: its forward is a pass."""

    __slots__ = ("relay",)

    def __init__(self, running: Running, module: torch.nn.Module, slots: list[Slot], relay: bool) -> None:
        super().__init__(running, "", module, slots)
        self.relay = relay

    def settle(self) -> bool:
        super().settle()
        return True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.relay:
            return super().__call__(*args, **kwargs)
        device = self.running.device
        home = first_device((args, kwargs)) or device
        result = super().__call__(*moved(args, device), **moved(kwargs, device))
        return moved(result, home)

    def enter(self) -> None:
        running = self.running
        if running.active and running.thread == _thread():
            running.release_all()  # a pass that was ended in a way in which nothing else runs
        super().enter()

    def release(self, failed: bool) -> None:
        super().release(failed)
        if not self.running.session.closed:
            self.running.session.next_pass()
