# SPDX-License-Identifier: BSD-3-Clause
"""Tensors in nested values, taken from one device to another."""

from __future__ import annotations

from typing import Any, Optional

import torch


def first_device(value: Any) -> Optional[torch.device]:
    """Of the first tensor in nested values that has more than a number in it; else of the first."""
    found = None
    for tensor in _tensors(value):
        if tensor.dim():
            return tensor.device
        found = found or tensor.device
    return found


def _tensors(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors(each)


def moved(value: Any, device: torch.device) -> Any:
    """Nested values with their tensors on a device. What needs no move stays the same object."""
    if isinstance(value, torch.Tensor):
        return value if value.device == device else value.to(device)
    if isinstance(value, dict):
        found = {key: moved(each, device) for key, each in value.items()}
        if all(found[key] is each for key, each in value.items()):
            return value
        try:
            return type(value)(**found) if hasattr(value, "__dataclass_fields__") else type(value)(found)
        except TypeError:
            return found
    if isinstance(value, (list, tuple)):
        items = [moved(each, device) for each in value]
        if all(one is other for one, other in zip(items, value)):
            return value
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value
