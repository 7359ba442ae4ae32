# SPDX-License-Identifier: BSD-3-Clause
"""How objects hold C handles: calls that raise, text that is copied, ends that come in the right order.

A handle belongs to the process that made it. In a forked child every use is refused, and nothing is freed there:
locks and threads of the library are not copied by fork.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from ctypes import POINTER, byref, c_char_p, c_void_p
from typing import Any, Callable, Optional

from . import _native
from ._native import lib
from .errors import BY_CODE, DistorchError, FailedError, ForkError, UsageError


def failure(error: _native.error, kind: Optional[type[DistorchError]] = None) -> DistorchError:
    """The exception for a ``struct dt2_error``."""
    kind = kind or BY_CODE.get(error.code, FailedError)
    return kind(error.text.decode("utf-8", "replace"), error.suggestion.decode("utf-8", "replace"))


def call(function: Callable[..., int], *arguments: Any) -> None:
    """Calls a function whose last argument is the error, and raises what it says."""
    error = _native.error()
    if function(*arguments, byref(error)) < 0:
        raise failure(error)


def text(value: Optional[bytes]) -> Optional[str]:
    """Text of the library, which is UTF-8 but for paths that are not: they survive a round trip."""
    return None if value is None else value.decode("utf-8", "surrogateescape")


def texts(values: Any, count: int) -> tuple[str, ...]:
    return tuple(values[i].decode("utf-8", "surrogateescape") for i in range(count))


def encode(value: Any) -> Optional[bytes]:
    """Text or a path for the library; None stays None."""
    if value is None:
        return None
    raw = os.fsencode(os.fspath(value))
    if b"\0" in raw:
        raise UsageError(f"{value!r} has a NUL character in it")
    return raw


def known(number: int) -> Optional[int]:
    """A number of bytes, None where the library says that nobody can tell."""
    return None if number == _native.UNKNOWN else number


def taken_text(pointer: Optional[int]) -> str:
    """Copies text that the library allocated, and frees it."""
    if not pointer:
        raise MemoryError("distorch2: no memory for a text")
    try:
        return ctypes.string_at(pointer).decode("utf-8", "surrogateescape")
    finally:
        lib.dt2_text_free(pointer)


class _Lingering:
    """Handles that could not be freed when their objects went, since arrays of others still use their bytes.

    They are tried again whenever something else is freed, and left to the end of the process otherwise: waiting for an
    array that outlives the interpreter would never end.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._ends: list[Callable[[], bool]] = []

    def free(self, end: Callable[[], bool]) -> None:
        with self._lock:
            pending = [*self._ends, end]
            self._ends = []
            # What is freed may be what another waited for: a session before its model's context.
            while True:
                left = [each for each in pending if not each()]
                if len(left) in (0, len(pending)):
                    break
                pending = left
            self._ends.extend(left)


_lingering = _Lingering()


def _finish(pid: int, end: Callable[[int], bool], pointer: int) -> None:
    if os.getpid() == pid:
        _lingering.free(lambda: end(pointer))


class Handle:
    """An opaque C object, freed once: by ``close()``, at the end of ``with``, by the collector, or at exit."""

    _what = "object"

    def __init__(self, pointer: int, end: Callable[[int], bool], *keeps: Any) -> None:
        """``end`` frees the pointer and tells whether it could; ``keeps`` are objects that must live longer."""
        self._raw: Optional[int] = pointer
        self._pid = os.getpid()
        self._keeps = keeps
        self._finalizer = weakref.finalize(self, _finish, self._pid, end, pointer)

    @property
    def _ptr(self) -> int:
        """The pointer, for one call; refuses what is closed, and what belongs to another process."""
        self._check_process()
        if self._raw is None:
            raise UsageError(f"this {self._what} is closed")
        return self._raw

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            raise ForkError(
                f"this {self._what} belongs to process {self._pid}: it cannot be used in a forked child, {os.getpid()}",
                "load the model after the fork, or start processes with multiprocessing's method 'spawn'",
            )

    @property
    def closed(self) -> bool:
        """Whether ``close()`` has been called."""
        return self._raw is None

    def close(self) -> None:
        """Frees it. What is closed already stays so."""
        if self._raw is not None:
            self._check_process()
            self._raw = None
            self._finalizer()
            self._keeps = ()

    def __enter__(self) -> Any:
        self._check_process()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError(f"a {self._what} cannot be pickled: it belongs to this process")


def frees(function: Callable[[int], Any]) -> Callable[[int], bool]:
    """An end that cannot be refused."""

    def end(pointer: int) -> bool:
        function(pointer)
        return True

    return end


def made(function: Callable[..., int], *arguments: Any) -> int:
    """Calls a function whose last arguments are a handle that it makes, and the error."""
    handle = c_void_p()
    call(function, *arguments, byref(handle))
    assert handle.value is not None
    return handle.value


def string_array(values: list[bytes]) -> Any:
    return (c_char_p * len(values))(*values) if values else POINTER(c_char_p)()
