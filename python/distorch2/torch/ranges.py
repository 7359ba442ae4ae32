# SPDX-License-Identifier: BSD-3-Clause
"""Where the elements of a storage come from, as ranges; and how strided tensors fall into ranges."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple, Optional, Union

import torch


class Source(NamedTuple):
    """Elements of a tensor of the file, cast to each dtype of ``via`` in turn: only casts that lose something. ``held``
    has room for all that they can be now."""

    name: str
    held: torch.dtype
    via: tuple[torch.dtype, ...] = ()


class Value:
    """Elements whose values are known: those of a tensor of one dimension, which nobody changes."""

    __slots__ = ("flat",)

    def __init__(self, flat: torch.Tensor) -> None:
        self.flat = flat


class Gap(NamedTuple):
    """Elements of which nobody can tell where they come from: why, and which tensors of the file had a part in it."""

    why: str
    sources: tuple[str, ...] = ()


UNWRITTEN = Gap("nothing was written to it")

Origin = Union[Source, Value, Gap]


class Part(NamedTuple):
    """So many elements, and where the first of them comes from."""

    count: int
    origin: Origin
    first: int


class Ranges:
    """The origin of every element of one storage, counted in elements of one dtype."""

    __slots__ = ("storage", "dtype", "stale", "_starts", "_parts")

    def __init__(self, tensor: torch.Tensor) -> None:
        self.storage = tensor.untyped_storage()  # held, so that no other takes its address
        self.dtype = tensor.dtype
        self.stale = tensor.is_meta
        """Whether the storage itself does not hold the values."""
        self._starts: list[int] = []
        self._parts: list[Part] = []

    def read(self, first: int, count: int) -> Iterator[Part]:
        """The parts of a range, in order; together they are all of it."""
        at, end = first, first + count
        i = max(bisect_right(self._starts, at) - 1, 0)
        while at < end:
            if i >= len(self._parts):
                yield Part(end - at, UNWRITTEN, 0)
                return
            start, part = self._starts[i], self._parts[i]
            if at < start:
                yield Part(min(start, end) - at, UNWRITTEN, 0)
                at = min(start, end)
            elif at < start + part.count:
                stop = min(start + part.count, end)
                yield Part(stop - at, part.origin, part.first + at - start)
                at, i = stop, i + 1
            else:
                i += 1

    def write(self, first: int, parts: Sequence[Part]) -> None:
        """Replaces what was known of the elements from ``first`` on."""
        end = first + sum(part.count for part in parts)
        i, j = bisect_left(self._starts, first), bisect_left(self._starts, end)
        starts, kept = [], []
        if i and self._starts[i - 1] + self._parts[i - 1].count > first:  # what reaches in from before
            i -= 1
            starts.append(self._starts[i])
            kept.append(self._parts[i]._replace(count=first - self._starts[i]))
        for part in parts:
            starts.append(first)
            kept.append(part)
            first += part.count
        if j and self._starts[j - 1] + self._parts[j - 1].count > end:  # what reaches out behind
            cut = end - self._starts[j - 1]
            part = self._parts[j - 1]
            starts.append(end)
            kept.append(Part(part.count - cut, part.origin, part.first + cut))
        self._starts[i:j], self._parts[i:j] = starts, kept


def runs(
    shape: Sequence[int], strides: Sequence[int], others: Sequence[int], limit: int
) -> Optional[list[tuple[int, int, int]]]:
    """How two tensors of one shape lie to each other: (offset in the one, offset in the other, count) of each stretch
    that is contiguous in both, in the order of the elements. None when there are more than ``limit``."""
    dimensions: list[tuple[int, int, int]] = []
    for size, one, other in zip(shape, strides, others):
        if size == 0:
            return []
        if size == 1:
            continue
        if dimensions and dimensions[-1][1] == one * size and dimensions[-1][2] == other * size:
            size *= dimensions.pop()[0]
        dimensions.append((size, one, other))
    count = 1
    if dimensions and dimensions[-1][1:] == (1, 1):
        count = dimensions.pop()[0]
    number = 1
    for size, _, _ in dimensions:
        number *= size
    if number > limit:
        return None
    steps = product(*(range(size) for size, _, _ in dimensions))
    return [
        (
            sum(i * one for i, (_, one, _) in zip(step, dimensions)),
            sum(i * other for i, (_, _, other) in zip(step, dimensions)),
            count,
        )
        for step in steps
    ]


def contiguous_strides(shape: Sequence[int]) -> list[int]:
    """Of a tensor whose elements lie in their order."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return strides[::-1]


def value_of(parts: list[Part], like: torch.Tensor) -> torch.Tensor:
    """The real tensor whose elements are those of parts that are all values."""
    pieces = [part.origin.flat[part.first : part.first + part.count] for part in parts]  # type: ignore[union-attr]
    flat = torch.cat(pieces) if pieces else torch.empty(0)
    return flat.to(like.dtype).reshape(like.shape)
