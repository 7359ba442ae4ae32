# SPDX-License-Identifier: BSD-3-Clause
"""What a ledger found: of every weight of a module, which elements of which tensors of a file it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Callable, NamedTuple, Optional

import torch

from ..errors import FailedError
from ..file import File
from .dtypes import wanted_dtype
from .ranges import Gap, Part, Source, Value, value_of

_STORED = {torch.float16: "f16", torch.bfloat16: "bf16", torch.float32: "f32"}

MOST_PIECES = 1024
"""Of which a weight may be made."""


class Piece(NamedTuple):
    """``count`` elements of a tensor of the file, from ``first`` on, in the order in which they lie there."""

    tensor: str
    first: int
    count: int


@dataclass(frozen=True)
class Record(Mapping[str, "tuple[Piece, ...]"]):
    """A mapping from the names of a module's weights to the pieces that they are made of, and what else is known of
    them. Plain data."""

    pieces: dict[str, tuple[Piece, ...]] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Of every parameter and buffer."""
    dtypes: dict[str, torch.dtype] = field(default_factory=dict)
    """In which the module computes with them."""
    via: dict[str, tuple[torch.dtype, ...]] = field(default_factory=dict)
    """Of weights that the loader rounded on the way: the dtypes that its elements went through, in turn."""
    own: dict[str, torch.Tensor] = field(default_factory=dict)
    """What the loader computed, and no tensor of the file has a part in."""
    missing: dict[str, str] = field(default_factory=dict)
    """Weights that the file does not have, and what was done to them instead, if anything."""
    lost: dict[str, str] = field(default_factory=dict)
    """Weights that tensors of the file have a part in, and why it cannot be told which."""
    unused: tuple[str, ...] = ()
    """Names of tensors of the file that are in no weight."""

    def stored(self, file: File) -> File:
        """The file as this network takes it: tensors in the dtypes of their weights, and those that are one weight
        together as one, side by side. What a model that is loaded of it streams is used as it lies."""
        dtypes: dict[str, Optional[str]] = {}
        gangs: dict[tuple[str, ...], None] = {}
        sizes = {info.name: prod(info.shape) for info in file.tensors}
        for name, pieces in self.pieces.items():
            wanted = _STORED.get(self.dtypes[name])
            if self.via.get(name, ()) not in ((), (self.dtypes[name],)):
                wanted = None
            for piece in pieces:
                if dtypes.setdefault(piece.tensor, wanted) != wanted:
                    dtypes[piece.tensor] = None  # two weights that want it otherwise
            if len(pieces) > 1 and all(piece.count == sizes.get(piece.tensor) for piece in pieces):
                gangs[tuple(piece.tensor for piece in pieces)] = None
        return file.stored({name: each for name, each in dtypes.items() if each}, _apart(gangs, file, dtypes))

    def __getitem__(self, name: str) -> tuple[Piece, ...]:
        return self.pieces[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.pieces)

    def __len__(self) -> int:
        return len(self.pieces)

    def __repr__(self) -> str:
        return (
            f"<Record of {len(self.pieces)} weights of a file, {len(self.own)} computed, {len(self.missing)} missing, "
            f"{len(self.lost)} lost; {len(self.unused)} tensors unused>"
        )


def _apart(gangs: Iterable[tuple[str, ...]], file: File, dtypes: Mapping[str, Optional[str]]) -> list[list[str]]:
    """Those of the gangs that can be: of tensors of one kind, each in no other."""
    infos = {info.name: info for info in file.tensors}
    taken: set[str] = set()
    found = []
    for members in gangs:
        kinds = {(infos[name].dtype, infos[name].shape[1:], dtypes[name]) for name in members}
        if len(kinds) == 1 and len(set(members)) == len(members) and not taken & set(members):
            if all(infos[name].shape for name in members):
                taken |= set(members)
                found.append(list(members))
    return found


def _sources(parts: list[Part]) -> list[tuple[Piece, tuple[torch.dtype, ...]]]:
    """Parts that are all of the file, with neighbours put together."""
    found: list[tuple[Piece, tuple[torch.dtype, ...]]] = []
    for count, origin, first in parts:
        assert isinstance(origin, Source)
        last, via = found[-1] if found else (Piece("", 0, 0), ())
        if last.tensor == origin.name and via == origin.via and last.first + last.count == first:
            found[-1] = last._replace(count=last.count + count), via
        else:
            found.append((Piece(origin.name, first, count), origin.via))
    return found


def _why_lost(parts: list[Part]) -> Optional[str]:
    """None where the file has no part in it."""
    gap = next((each.origin for each in parts if isinstance(each.origin, Gap)), None)
    if any(isinstance(each.origin, Source) for each in parts):
        return f"a part of it is not of the file: {gap.why}" if gap else "a part of it was computed"
    gap = next((each.origin for each in parts if isinstance(each.origin, Gap) and each.origin.sources), None)
    return gap.why if gap else None


def _enter(record: Record, name: str, tensor: torch.Tensor, parts: Optional[list[Part]]) -> None:
    """Says of one weight what is known of it."""
    if parts is None:
        record.own[name] = tensor.detach()
    elif all(isinstance(part.origin, Source) for part in parts) and parts:
        found = _sources(parts)
        if len({via for _, via in found}) > 1:
            record.lost[name] = "its parts were rounded in unlike ways"
        elif len(found) > MOST_PIECES:
            record.lost[name] = f"it is of {len(found)} pieces of the file"
        else:
            record.pieces[name] = tuple(piece for piece, _ in found)
            if found[0][1]:
                record.via[name] = found[0][1]
    elif all(isinstance(part.origin, Value) for part in parts):
        record.own[name] = value_of(parts, tensor)
    else:
        why = _why_lost(parts)
        if why is not None:
            record.lost[name] = why
        else:
            record.missing[name] = next(part.origin.why for part in parts if isinstance(part.origin, Gap))


def recorded(
    module: torch.nn.Module,
    names: tuple[str, ...],
    parts_of: Callable[[torch.Tensor], Optional[list[Part]]],
    strict: bool,
) -> Record:
    """The record of a module whose tensors' parts are told by ``parts_of``."""
    record = Record()
    for path, each in module.named_modules():
        for entries in (each._parameters, each._buffers):
            for key, tensor in entries.items():
                if tensor is not None:
                    name = f"{path}.{key}" if path else key
                    record.shapes[name] = tuple(tensor.shape)
                    record.dtypes[name] = wanted_dtype(each, key, tensor)
                    _enter(record, name, tensor, parts_of(tensor))
    if record.lost and strict:
        first = list(record.lost)[:3]
        more = f", and {len(record.lost) - 3} more" if len(record.lost) > 3 else ""
        raise FailedError(
            f"it cannot be told where {', '.join(first)}{more} come from: of {first[0]}, {record.lost[first[0]]}",
            "load this file in the program's own way",
        )
    used = {piece.tensor for pieces in record.pieces.values() for piece in pieces}
    unused = tuple(name for name in names if name not in used)
    return Record(**{**record.__dict__, "unused": unused})
