# SPDX-License-Identifier: BSD-3-Clause
"""What the library refuses, as exceptions: a code, the text, and what would work instead."""

from __future__ import annotations

import enum


class ErrorCode(enum.IntEnum):
    """``enum dt2_code``: what kind of failure."""

    FAILED = -1
    USAGE = -2
    NOFIT = -3
    NOENT = -4
    CANCELLED = -5
    BUSY = -6
    NOMEM = -7
    GONE = -8
    FULL = -9
    PARKED = -10


class DistorchError(Exception):
    """The library refused or failed. ``text`` says what, ``suggestion`` what would work, or is empty."""

    code: ErrorCode = ErrorCode.FAILED

    def __init__(self, text: str, suggestion: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.suggestion = suggestion

    def __str__(self) -> str:
        return f"{self.text}\nhint: {self.suggestion}" if self.suggestion else self.text

    @property
    def short(self) -> str:
        """The text's first line: where an allocation string is shown with a caret below it, what is wrong with it."""
        return self.text.partition("\n")[0].rstrip(":")

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.text, self.suggestion)

    @property
    def exit_status(self) -> int:
        """The exit status that the command line tool uses for this code."""
        from ._native import lib

        return int(lib.dt2_exit_status(self.code))


class FailedError(DistorchError):
    """Exists, but cannot be read, is malformed, or failed on the way."""


class UsageError(DistorchError, ValueError):
    """The caller's words: options, ranges, allocation syntax, something that is closed."""

    code = ErrorCode.USAGE


class NoFitError(DistorchError):
    """Does not fit: a budget, an allocation limit, memory itself."""

    code = ErrorCode.NOFIT


class NotFoundError(DistorchError, LookupError):
    """No such device, model or tensor."""

    code = ErrorCode.NOENT


class CancelledError(DistorchError):
    """A progress callback asked to stop."""

    code = ErrorCode.CANCELLED


class BusyError(DistorchError):
    """In use: a model that is borrowed, a block that is held."""

    code = ErrorCode.BUSY


class GoneError(BusyError):
    """The model is not loaded any more."""

    code = ErrorCode.GONE


class FullError(BusyError):
    """The blocks that are held leave no room in the window."""

    code = ErrorCode.FULL


class ParkedError(BusyError):
    """The session is parked."""

    code = ErrorCode.PARKED


class NoMemoryError(DistorchError, MemoryError):
    """The library's own bookkeeping found no memory."""

    code = ErrorCode.NOMEM


class ExportError(UsageError, BufferError):
    """No array library can take this tensor: an OpenCL buffer, a dtype that DLPack or the consumer lacks."""


class ForkError(DistorchError, RuntimeError):
    """An object of the parent process was used in a forked child, where its devices and threads are not."""

    code = ErrorCode.USAGE


BY_CODE: dict[int, type[DistorchError]] = {
    int(kind.code): kind
    for kind in (
        FailedError,
        UsageError,
        NoFitError,
        NotFoundError,
        CancelledError,
        BusyError,
        NoMemoryError,
        GoneError,
        FullError,
        ParkedError,
    )
}
