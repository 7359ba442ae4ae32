# SPDX-License-Identifier: BSD-3-Clause
"""Memory on the compute device for weights that are not bytes of the model as they lie: cast, or put together. It is
used again for the next weight, since making and freeing memory costs more than the copy."""

from __future__ import annotations

from typing import Callable, Optional

import torch

_use_count: Optional[Callable[[int], int]] = getattr(torch._C, "_storage_Use_Count", None)


class Buffer:
    """Bytes, seen as elements of any dtype."""

    __slots__ = ("nbytes", "_bytes", "_elements", "_alone")

    def __init__(self, nbytes: int, device: torch.device) -> None:
        self.nbytes = nbytes
        self._bytes = torch.empty(nbytes, dtype=torch.uint8, device=device)
        self._elements: dict[torch.dtype, torch.Tensor] = {}
        self._alone = self._uses()

    def elements(self, dtype: torch.dtype) -> torch.Tensor:
        """All of it, as elements of a dtype."""
        found = self._elements.get(dtype)
        if found is None:
            found = self._elements[dtype] = self._bytes.view(dtype)
            self._alone = self._uses()
        return found

    def _uses(self) -> int:
        return _use_count(self._bytes.untyped_storage()._cdata) if _use_count is not None else 0

    @property
    def is_free(self) -> bool:
        """Whether nobody has kept a tensor that lies here: a module may return its weight, or a view of it."""
        return _use_count is not None and self._uses() <= self._alone


class Buffers:
    """Those of one attachment: as many as are used at a time, each as large as the largest that was wanted of it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._free: list[Buffer] = []

    def take(self, nbytes: int) -> Buffer:
        """One of at least so many bytes."""
        fitting = [buffer for buffer in self._free if buffer.nbytes >= nbytes]
        if fitting:
            best = min(fitting, key=lambda buffer: buffer.nbytes)
            self._free.remove(best)
            return best
        if self._free:  # instead of the largest of those that are too small
            self._free.remove(max(self._free, key=lambda buffer: buffer.nbytes))
        return Buffer(-(-nbytes // 64) * 64, self._device)

    def give(self, buffer: Buffer) -> None:
        """Back, unless somebody still looks at it: then it is theirs."""
        if buffer.is_free:
            self._free.append(buffer)

    def clear(self) -> None:
        """Lets go of what nobody uses now."""
        self._free.clear()

    @property
    def nbytes(self) -> int:
        """Of what nobody uses now."""
        return sum(buffer.nbytes for buffer in self._free)
