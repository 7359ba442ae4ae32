# SPDX-License-Identifier: BSD-3-Clause
"""How objects hold C handles: who is in a call with one, and ends that come in the right order.

A handle belongs to the process that made it. In a forked child every use is refused, and nothing is freed there:
locks and threads of the library are not copied by fork.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Callable, Optional

from .errors import BusyError, ForkError, UsageError

End = Callable[[int], bool]
"""Frees a pointer, and tells whether it could."""


class Use:
    """What becomes of a handle's pointer: who is in a call with it, and whether it is ended and freed.

    Once ended it admits no more calls, and the last one out frees it. So nobody frees what another thread is inside of, and
    nobody waits for another thread either. Each step is in an order that bears a signal's handler in the middle of it.
    """

    __slots__ = ("ended", "pointer", "_what", "_end", "_pid", "_parent", "_lock", "_deciding", "_inside")

    def __init__(self, pointer: int, end: End, what: str, parent: Optional[Use] = None) -> None:
        """``parent``: of what the handle lives in, which is not freed during a call with it either."""
        self.ended = False
        self.pointer: Optional[int] = pointer  # None when it is freed
        self._what = what
        self._end = end
        self._pid = os.getpid()
        self._parent = parent
        self._lock = threading.RLock()
        self._deciding = threading.RLock()  # held while an end may turn out to be refused
        self._inside: dict[int, tuple[weakref.ref[Call], int]] = {}  # calls, and their threads

    def check_process(self) -> None:
        if self._pid != os.getpid():
            raise ForkError(
                f"this {self._what} belongs to process {self._pid}: it cannot be used in a forked child, {os.getpid()}",
                "load the model after the fork, or start processes with multiprocessing's method 'spawn'",
            )

    def admit(self, call: Call, even_ended: bool) -> bool:
        """Counts a call, unless it comes too late."""
        with self._lock:
            # First, since whoever ends it looks here after saying so.
            self._inside[id(call)] = weakref.ref(call), threading.get_ident()
            if self.pointer is None or (self.ended and not even_ended):
                del self._inside[id(call)]
                return False
        if self._parent is not None:
            self._parent.admit(call, even_ended=True)
        return True

    def leave(self, call: Call) -> None:
        """Once for each call, however often it is said. The last one out frees."""
        if self._pid != os.getpid():
            return
        with self._lock:
            last = self._inside.pop(id(call), None) is not None and self.ended and not self._threads()
        if last:
            lingering.free(self)
        if self._parent is not None:
            self._parent.leave(call)

    def _threads(self) -> list[int]:
        """Those that are in a call. One whose end Ctrl-C prevented is over when its object is gone."""
        inside = list(self._inside.items())
        for key, (call, _) in inside:
            if call() is None:
                self._inside.pop(key, None)
        return [thread for _, thread in self._inside.values()]

    def refuse(self, even_ended: bool) -> None:
        """For a call that was not admitted: why; nothing where what kept it out was refused in the meantime."""
        with self._deciding:
            if self.pointer is None or (self.ended and not even_ended):
                raise UsageError(f"this {self._what} is closed")

    def end(self, attempt: Optional[Callable[[int], object]] = None) -> None:
        """Admits no more calls, and frees: now, or when the last call is over. Refused within a call of this thread.
        ``attempt`` is what frees where there is no call; when it raises all is as before."""
        with self._deciding:
            with self._lock:
                if self.ended:
                    return
                self.refuse_within()
                self.ended = True
                pointer = None if attempt is None or self._threads() else self.pointer
                if pointer is not None:
                    self.pointer = None  # nobody comes in meanwhile: not even who gives back what is held
            if attempt is not None and pointer is not None:
                self._attempt(attempt, pointer)
        lingering.free(self)

    def refuse_within(self) -> None:
        """Whoever is in a call would wait for itself."""
        with self._lock:
            if threading.get_ident() in self._threads():
                raise BusyError(
                    f"this {self._what} cannot be closed within a call of it, from its progress or log",
                    "close it when the call has returned; progress that returns False ends the call",
                )

    def _attempt(self, attempt: Callable[[int], object], pointer: int) -> None:
        try:
            attempt(pointer)
        except BaseException:
            self.pointer = pointer
            self.ended = False
            raise

    def drop(self) -> None:
        """As :meth:`end` when nobody can use it any more. In a forked child nothing is freed."""
        if self._pid == os.getpid():
            self.ended = True
            lingering.free(self)

    def freed(self) -> bool:
        """Frees it, once, and tells whether it is."""
        with self._deciding:
            with self._lock:
                pointer = self.pointer
                if pointer is None or self._threads():
                    return pointer is None
                self.pointer = None
            if not self._end(pointer):
                self.pointer = pointer
            return self.pointer is None


class Call:
    """``with handle._call() as pointer``: a call in flight. It is over with the block, and also where Ctrl-C kept it from
    saying so, since nobody refers to it then any more."""

    __slots__ = ("_use", "_even_ended", "__weakref__")

    def __init__(self, use: Use, even_ended: bool = False) -> None:
        self._use = use
        self._even_ended = even_ended

    def __enter__(self) -> int:
        use = self._use
        use.check_process()
        while not use.admit(self, self._even_ended):
            use.refuse(self._even_ended)
        pointer = use.pointer
        assert pointer is not None
        return pointer

    def __exit__(self, *_: object) -> None:
        self._use.leave(self)


class _Lingering:
    """Handles that could not be freed when they were ended: calls are in flight, or arrays of others use their bytes.

    They are tried again whenever something else is freed, and left to the end of the process otherwise: waiting for an
    array that outlives the interpreter would never end.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._uses: list[Use] = []

    def free(self, use: Use) -> None:
        with self._lock:
            pending = list(dict.fromkeys([*self._uses, use]))
            self._uses = []
            # What is freed may be what another waited for: a session before its model's context.
            while True:
                left = [each for each in pending if not each.freed()]
                if len(left) in (0, len(pending)):
                    break
                pending = left
            self._uses.extend(left)


lingering = _Lingering()


class Handle:
    """An opaque C object, freed once: by ``close()``, at the end of ``with``, by the collector, or at exit."""

    _what = "object"

    def __init__(self, pointer: int, end: End, *keeps: Any, within: Optional[Handle] = None) -> None:
        """``end`` frees the pointer; ``keeps`` are objects that must live longer; ``within`` is not freed during calls."""
        self._use = Use(pointer, end, self._what, None if within is None else within._use)
        self._keeps = keeps
        self._finalizer = weakref.finalize(self, Use.drop, self._use)

    def _call(self) -> Call:
        """Around whatever uses the pointer, or what it points to; refuses what is closed, and what belongs to another
        process."""
        return Call(self._use)

    @property
    def _ptr(self) -> int:
        """The pointer, for who sees to it that it is not freed meanwhile."""
        with Call(self._use) as pointer:
            return pointer

    def _check_process(self) -> None:
        self._use.check_process()

    @property
    def closed(self) -> bool:
        """Whether ``close()`` has been called."""
        return self._use.ended

    def close(self) -> None:
        """Frees it; where calls of other threads are in flight, with the last of them. No more begin. What is closed already
        stays so. Raises :class:`BusyError` within a call of this thread, such as its progress or log."""
        if not self.closed:
            self._check_process()
            self._use.end()
            self._keeps = ()

    def __enter__(self) -> Any:
        self._check_process()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError(f"a {self._what} cannot be pickled: it belongs to this process")


def frees(function: Callable[[int], Any]) -> End:
    """An end that cannot be refused."""

    def end(pointer: int) -> bool:
        function(pointer)
        return True

    return end
