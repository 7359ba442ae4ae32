# SPDX-License-Identifier: BSD-3-Clause
"""Progress, Ctrl-C and exceptions across calls of C's that take long."""

from __future__ import annotations

from collections.abc import Generator
from types import GeneratorType
from typing import Any, Callable, Optional

from . import _native
from .model import Progress, progress_of

ProgressFunction = Callable[[Progress], Any]
"""Told how far a load is, some ten times a second. What it raises cancels the load, and so does returning False."""


class Watch:
    """Progress as C calls it, also when nobody asked for it, since it is here that Ctrl-C is noticed.

    Python looks for signals where a function begins, which is before any ``try`` in it; what a signal's handler raises
    there would be lost between Python and C. A generator that waits inside a ``try`` has no such place. So the
    callback is ``GeneratorType.send``, a function of C's, and what C gives it as the caller's data is the generator.
    """

    def __init__(self, progress: Optional[ProgressFunction], stop: Callable[[], bool] = lambda: False) -> None:
        """``stop`` is asked each time whether the call is to end."""
        self.raised: Optional[BaseException] = None
        self.callback = _native.progress_fn(GeneratorType.send)
        self._generator = self._watch(progress, stop)
        self.data = id(self._generator)
        next(self._generator)

    def _watch(self, progress: Optional[ProgressFunction], stop: Callable[[], bool]) -> Generator[int, Any, None]:
        answer = 0
        try:
            while True:
                raw = yield answer
                refused = progress is not None and progress(progress_of(raw[0])) is False
                answer = int(refused or stop())
        except GeneratorExit:
            return
        except BaseException as raised:  # carried over the C frames, and raised by the load
            self.raised = raised
            while True:
                yield 1
