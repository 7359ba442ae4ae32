# SPDX-License-Identifier: BSD-3-Clause
"""What processes of this user share: models whose host shares are there once for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from ._core import known, made
from ._native import lib


@dataclass(frozen=True)
class SharedMemory:
    """The memory of one model, and who uses it. ``bytes`` is None where no process that has it lets others look; ``filler`` is the
    process that fills it just now."""

    path: str
    bytes: Optional[int]
    processes: tuple[int, ...]
    filler: Optional[int]


def shared_models() -> list[SharedMemory]:
    """What is shared now, by path."""
    pointer = made(lib.dt2_shared_list_make)
    try:
        memories = (lib.dt2_shared_list_get(pointer, i)[0] for i in range(lib.dt2_shared_list_count(pointer)))
        return [
            SharedMemory(
                path=each.path.decode(errors="surrogateescape"),
                bytes=known(each.bytes),
                processes=tuple(each.processes[i] for i in range(each.process_count)),
                filler=each.filler or None,
            )
            for each in memories
        ]
    finally:
        lib.dt2_shared_list_free(pointer)
