# SPDX-License-Identifier: BSD-3-Clause
"""What stands for a weight of a module while the weight is not there. Imported by distorch2.torch alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from .errors import FailedError


class Absent(torch.Tensor):
    """Stands for a weight that is elsewhere: shape, dtype and device, and no bytes.

    Its device is the one that computes, so that code which asks a weight where to put its input gets a good answer.
    """

    _distorch2_name: str
    _distorch2_why: str

    @staticmethod
    def __new__(cls: type, like: torch.Tensor, name: str, why: str, dtype: torch.dtype, device: torch.device) -> Absent:
        made: Any = torch.Tensor._make_wrapper_subclass(
            cls, like.shape, strides=like.stride(), dtype=dtype, device=device, requires_grad=False
        )
        made._distorch2_name = name
        made._distorch2_why = why
        return made  # type: ignore[no-any-return]

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"<{self._distorch2_name}: {self._distorch2_why}>"

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        absent = next(each for each in _flat((args, kwargs or {})) if isinstance(each, Absent))
        if func is torch.ops.aten.detach.default:  # by which a Parameter is made, or .data asked for
            return Absent(absent, absent._distorch2_name, absent._distorch2_why, absent.dtype, absent.device)
        args = kwargs = None  # a traceback keeps this frame, and would keep the weights that are among them
        raise FailedError(
            f"{absent._distorch2_name} was used by {func}, and it {absent._distorch2_why}",
            "a module that reads the weights of another names it in attach(whole=...)",
        )


def _flat(value: Any) -> Iterator[Any]:
    """The leaves of nested arguments."""
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _flat(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _flat(each)
    else:
        yield value
