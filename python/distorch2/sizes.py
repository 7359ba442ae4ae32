# SPDX-License-Identifier: BSD-3-Clause
"""Sizes in words. All units are binary: 1 gb = 1 GiB = 2**30 bytes."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_uint64
from typing import Union

from . import _native
from ._core import call, encode
from ._native import lib
from .errors import UsageError

Size = Union[int, str]
"""A number of bytes, or words such as ``"1.5gb"``."""


def parse_size(text: str) -> int:
    """Bytes in ``"1.5gb"``, ``"256 MiB"`` or ``"4096b"``, rounded down to a whole byte. A unit is required."""
    value = c_uint64()
    call(lib.dt2_size_parse, encode(text), byref(value))
    return value.value


def parse_gib(text: str) -> int:
    """Bytes in a plain number of GiB, 0 to 128, as the node's ``virtual_vram_gb`` takes it; rounded up."""
    value = c_uint64()
    call(lib.dt2_gib_parse, encode(text), byref(value))
    return value.value


def format_size(count: int) -> str:
    """Three digits and a unit: ``"689 MiB"``."""
    out = ctypes.create_string_buffer(64)
    lib.dt2_size_format(count, out, len(out))
    return out.value.decode("utf-8", "replace")


def in_bytes(size: Size, what: str) -> int:
    """Whichever way a size was given, in bytes."""
    count = parse_size(size) if isinstance(size, str) else int(size)
    if not 0 <= count < _native.UNKNOWN:
        raise UsageError(f"{what}: {size!r} is no number of bytes")
    return count
