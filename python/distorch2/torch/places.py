# SPDX-License-Identifier: BSD-3-Clause
"""Which tensors of a model each parameter and buffer of a module is. Nothing is changed here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from math import prod
from typing import Any, Callable, Optional, Union

import torch

from .._native import lib
from ..errors import UsageError
from ..model import Model
from .dtypes import DTYPES, wanted_dtype
from .record import Record
from .weights import Span, Weight

NameMap = Union[None, Mapping[str, str], Callable[[str], Optional[str]]]
"""From a parameter's name in the module to a tensor's name in the model; None: it is not in the model."""

Sources = Mapping[str, Iterable[tuple[str, int, int]]]
"""From a parameter's name to the pieces that it is made of: (tensor, first element, count) each, in order. A
:class:`Record` is one."""

Dtypes = Union[None, str, torch.dtype, Mapping[str, torch.dtype], Callable[[str], Optional[torch.dtype]]]
"""In which dtype weights are used: None, that of the model; a dtype, for all of floating point; "module", each in that
of its parameter; or a mapping or a function from a parameter's name, where None or nothing is that of the model."""


class Place:
    """A parameter or buffer of a module: what it was, and what it is to be."""

    __slots__ = ("entries", "key", "name", "before", "is_parameter", "dtype", "weight", "own")

    def __init__(
        self, module: torch.nn.Module, entries: dict[str, Any], key: str, name: str, is_parameter: bool
    ) -> None:
        self.entries = entries
        self.key = key
        self.name = name
        self.before: torch.Tensor = entries[key]
        self.is_parameter = is_parameter
        self.dtype = wanted_dtype(module, key, self.before)
        """In which the module computes with it."""
        self.weight: Optional[Weight] = None
        self.own = False
        """Whether it is a tensor of the module's own, that may be written to."""


class Places:
    """All places of a module, those with a tensor in common together, and the weights that belong there."""

    def __init__(
        self,
        module: torch.nn.Module,
        model: Model,
        *,
        dtype: Dtypes = None,
        prefix: str = "",
        names: NameMap = None,
        sources: Optional[Sources] = None,
        own: Iterable[str] = (),
    ) -> None:
        self.missing: list[str] = []
        self.of: dict[torch.nn.Module, list[Place]] = {}
        self._model = model
        self._sources = sources
        self._prefix, self._names = prefix, names
        record = sources if isinstance(sources, Record) else None
        self._record = record
        self._dtype: Dtypes = record.dtypes if record is not None and dtype is None else dtype
        if isinstance(self._dtype, str) and self._dtype != "module":
            raise UsageError(f"dtype is {self._dtype!r}", "it is a torch.dtype, 'module', a mapping, or a function")
        if sources is not None and (prefix or names is not None):
            raise TypeError("sources= says all that prefix= and names= would")
        tied = self._collect(module)
        self._check_sources(tied)
        self._used: set[int] = set()
        for places in tied.values():
            weight = self._weight(places)
            if weight is not None:
                self._used.update(span.index for span in weight.spans)
            for place in places:
                place.weight = weight
                place.own = any(fnmatchcase(place.name, pattern) for pattern in own)
            self.missing += [place.name for place in places if weight is None]
        if not self._used:
            self._nothing_fits(next(iter(tied.values()), []))
        self.unused = [info.name for i, info in enumerate(model._infos) if i not in self._used]

    def __iter__(self) -> Iterator[Place]:
        for places in self.of.values():
            yield from places

    def _collect(self, module: torch.nn.Module) -> dict[int, list[Place]]:
        """All places by the tensor that is there: tied weights are one tensor in several places."""
        tied: dict[int, list[Place]] = {}
        for path, each in module.named_modules():
            for entries, is_parameter in ((each._parameters, True), (each._buffers, False)):
                for key, before in entries.items():
                    if before is not None:
                        place = Place(each, entries, key, f"{path}.{key}" if path else key, is_parameter)
                        self.of.setdefault(each, []).append(place)
                        tied.setdefault(id(before), []).append(place)
        return tied

    def _check_sources(self, tied: dict[int, list[Place]]) -> None:
        names = {place.name for places in tied.values() for place in places}
        for name in self._sources or ():
            if name not in names:
                raise UsageError(f"sources has {name}, and the module has no parameter or buffer of that name")

    def _weight(self, places: list[Place]) -> Optional[Weight]:
        """What tied places are, by whichever of their names is known."""
        for place in places:
            if self._sources is not None:
                if place.name in self._sources:
                    return self._of_pieces(place, list(self._sources[place.name]))
            else:
                index = self._index(place.name)
                if index is not None:
                    return self._of_tensor(place, index)
        return None

    def _index(self, name: str) -> Optional[int]:
        mapped: Optional[str] = name
        if self._names is not None:
            mapped = self._names(name) if callable(self._names) else self._names.get(name, name)
        return None if mapped is None else self._model._indices.get(self._prefix + mapped)

    def _of_tensor(self, place: Place, index: int) -> Weight:
        info = self._model._infos[index]
        if info.shape != tuple(place.before.shape):
            raise UsageError(
                f"{place.name} is {list(place.before.shape)} in the module, and {info.name} {list(info.shape)} in the "
                "model"
            )
        return self._made(place, [Span(index, self._block(index), 0, prod(info.shape), info.shape)])

    def _of_pieces(self, place: Place, pieces: list[tuple[str, int, int]]) -> Weight:
        spans = self._spans(place, pieces)
        gang = self._model._indices.get("+".join(name for name, _, _ in pieces)) if len(spans) > 1 else None
        if gang is not None and all(span.shape is not None for span in spans):  # side by side in the model
            self._used.update(span.index for span in spans)
            shape = self._model._infos[gang].shape
            spans = [Span(gang, self._block(gang), 0, prod(shape), shape)]
        return self._made(place, spans)

    def _spans(self, place: Place, pieces: list[tuple[str, int, int]]) -> list[Span]:
        spans = []
        for name, first, count in pieces:
            info = self._model.tensor(name).info
            elements = prod(info.shape)
            if not (0 <= first <= elements and 0 <= count <= elements - first):
                raise UsageError(
                    f"{place.name} is to be {count} elements from {first} on of {name}, which has {elements}"
                )
            index = self._model._indices[name]
            spans.append(Span(index, self._block(index), first, count, info.shape if count == elements else None))
        total = sum(span.count for span in spans)
        if not spans or total != place.before.numel():
            raise UsageError(
                f"{place.name} has {place.before.numel()} elements in the module, and its sources {total}"
            )
        return spans

    def _made(self, place: Place, spans: list[Span]) -> Weight:
        helds = []
        for span in spans:
            info = self._model._infos[span.index]
            held = DTYPES.get(info.dtype)
            if held is None:
                raise UsageError(f"{info.name} is {info.dtype}, which this torch does not have")
            helds.append(held)
        via = self._record.via.get(place.name, ()) if self._record is not None else ()
        wanted = self._wanted(place, helds[0])
        held = helds[0] if all(each == helds[0] for each in helds) else next(each for each in helds if each != wanted)
        return Weight(tuple(spans), tuple(place.before.shape), held, via, wanted)

    def _block(self, index: int) -> int:
        return int(lib.dt2_model_tensor_block(self._model._ptr, index))

    def _wanted(self, place: Place, held: torch.dtype) -> torch.dtype:
        dtype = self._dtype
        if dtype == "module":
            return place.dtype
        if isinstance(dtype, torch.dtype):
            return dtype if held.is_floating_point else held
        asked = None
        if isinstance(dtype, Mapping):
            asked = dtype.get(place.name)
        elif callable(dtype):
            asked = dtype(place.name)
        return held if asked is None else asked

    def _nothing_fits(self, places: list[Place]) -> None:
        example = places[0].name if places else "no parameter"
        tensor = self._model._infos[0].name if self._model._infos else "nothing"
        raise UsageError(
            f"the module and {self._model.name} have no name in common: the one has {self._prefix + example}, "
            f"the other {tensor}",
            "prefix= and names= say how the names of one become those of the other",
        )
