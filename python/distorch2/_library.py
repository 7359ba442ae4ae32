# SPDX-License-Identifier: BSD-3-Clause
"""Finds libdistorch2, and opens it."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

SONAME = "libdistorch2.so.0"


def _candidates() -> list[str]:
    """Where the library may be, best first: DISTORCH2_LIBRARY decides alone."""
    asked = os.environ.get("DISTORCH2_LIBRARY")
    if asked:
        return [asked]
    here = Path(__file__).resolve().parent
    beside = [str(folder / SONAME) for folder in (here, here / "lib") if (folder / SONAME).exists()]
    return [*beside, SONAME]


def _open() -> ctypes.CDLL:
    problems = []
    for candidate in _candidates():
        try:
            return ctypes.CDLL(candidate)
        except OSError as problem:
            problems.append(str(problem))
    raise ImportError(
        "distorch2 does not find its library: " + "; ".join(problems) + ". DISTORCH2_LIBRARY may name the file "
        f"({SONAME}) of an installation or a build"
    )


def declared(functions: dict[str, tuple[Any, list[Any]]]) -> ctypes.CDLL:
    """The library, with what its functions take and give."""
    library = _open()
    for name, (result, arguments) in functions.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise ImportError(f"{library._name} has no {name}(): it is older than this package") from None
        function.restype = result
        function.argtypes = arguments
    return library
