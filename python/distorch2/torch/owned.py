# SPDX-License-Identifier: BSD-3-Clause
"""Parameters and buffers that are not a model's: real tensors of the module's own, on the device that computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, Optional, Union

import torch

from ..errors import UsageError
from ..model import Model
from .places import Place, Sources
from .record import Record
from .standin import Absent

Missing = Union[None, Mapping[str, torch.Tensor], Callable[[str], Optional[torch.Tensor]]]
"""From the name of a parameter that the model does not have to the tensor that it is to be, or None."""


class Owned:
    """Makes them, tied ones once."""

    def __init__(self, model: Model, device: torch.device, sources: Optional[Sources], missing: Missing) -> None:
        self._model = model
        self._device = device
        self._computed = sources.own if isinstance(sources, Record) else {}
        self._missing = missing
        self._made: dict[tuple[int, bool], Any] = {}

    def fill(self, place: Place) -> Any:
        """What is to be in a place: a real tensor if there are values for it, else a stand-in."""
        tied = (id(place.before), place.is_parameter)
        if tied not in self._made:
            with torch.inference_mode(False), torch.no_grad():
                self._made[tied] = self._fill(place)
        return self._made[tied]

    def _fill(self, place: Place) -> Any:
        if place.weight is not None:
            return self._parameter(place, place.weight.read(self._model, self._device))
        given = self._given(place)
        if given is not None:
            if given.shape != place.before.shape:
                raise UsageError(
                    f"{place.name} is {list(place.before.shape)} in the module, and {list(given.shape)} in missing"
                )
            return self._parameter(place, given.detach().to(self._device, place.dtype, copy=True))
        if not place.before.is_meta:  # which stays where it is, if that is where it is needed
            if place.before.device == self._device:
                return place.before
            return self._parameter(place, place.before.detach().to(self._device))
        why = "is not in the model, and on the meta device"
        like = torch.empty(place.before.shape, device="meta")
        absent = Absent(like, place.name, why, place.before.dtype, self._device)
        return self._parameter(place, absent)

    def _given(self, place: Place) -> Optional[torch.Tensor]:
        missing = self._missing
        found = missing(place.name) if callable(missing) else (missing or {}).get(place.name)
        if found is None and place.before.is_meta:
            found = self._computed.get(place.name)
        return found

    def _parameter(self, place: Place, tensor: torch.Tensor) -> Any:
        return torch.nn.Parameter(tensor, place.before.requires_grad) if place.is_parameter else tensor
