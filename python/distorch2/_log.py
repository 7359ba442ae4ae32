# SPDX-License-Identifier: BSD-3-Clause
"""Lines of the library's log for Python: a callable, or a logger of the standard library."""

from __future__ import annotations

import logging
from typing import Any, Callable, Union

from ._native import log_fn

Log = Union[None, logging.Logger, Callable[[int, str], None]]
"""A ``logging.Logger``, or a callable that takes a level of ``logging`` and a line. It is called from any thread."""

_LEVELS = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)


def log_callback(log: Log) -> Any:
    """The C callback for ``log``, which must be kept as long as the library may call it; a NULL one for None."""
    if log is None:
        return log_fn()
    emit = log.log if isinstance(log, logging.Logger) else log

    def listen(_data: Any, level: int, line: bytes) -> None:
        try:
            emit(_LEVELS[level], line.decode("utf-8", "replace"))
        except Exception:  # nobody could catch it: there is C between here and any caller
            logging.getLogger("distorch2").exception("the log callback failed")

    return log_fn(listen)
