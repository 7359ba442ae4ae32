# SPDX-License-Identifier: BSD-3-Clause
"""Calls of C functions: failures that are raised, text that is copied."""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, byref, c_char_p, c_void_p
from typing import Any, Callable, Optional

from . import _native
from ._native import lib
from .errors import BY_CODE, DistorchError, FailedError, UsageError


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


def speed(gbps: float) -> Optional[float]:
    """A rate, None where the library says that there is none."""
    return None if gbps < 0 else gbps


def taken_text(pointer: Optional[int]) -> str:
    """Copies text that the library allocated, and frees it."""
    if not pointer:
        raise MemoryError("distorch2: no memory for a text")
    try:
        return ctypes.string_at(pointer).decode("utf-8", "surrogateescape")
    finally:
        lib.dt2_text_free(pointer)


def made(function: Callable[..., int], *arguments: Any) -> int:
    """Calls a function whose last arguments are a handle that it makes, and the error."""
    handle = c_void_p()
    call(function, *arguments, byref(handle))
    assert handle.value is not None
    return handle.value


def string_array(values: list[bytes]) -> Any:
    return (c_char_p * len(values))(*values) if values else POINTER(c_char_p)()
