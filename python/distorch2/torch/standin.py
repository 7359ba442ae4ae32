# SPDX-License-Identifier: BSD-3-Clause
"""What stands for a weight of a module while the weight is not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable, Optional

import torch

from ..errors import FailedError

Fetch = Callable[["Absent", Any], torch.Tensor]
"""Gives the weight that a stand-in stands for to an operation that was not foreseen."""


class Absent(torch.Tensor):
    """Stands for a weight that is elsewhere: shape, dtype and device, and no bytes.

    Its device is the one that computes, so that code which asks a weight where to put its input gets a good answer.
    """

    _distorch2_name: str
    _distorch2_why: str
    _distorch2_fetch: Optional[Fetch]
    _distorch2_is_copy = False
    _distorch2_read: Optional[torch.Tensor] = None

    @staticmethod
    def __new__(
        cls: type,
        like: torch.Tensor,
        name: str,
        why: str,
        dtype: torch.dtype,
        device: torch.device,
        fetch: Optional[Fetch] = None,
    ) -> Absent:
        made: Any = torch.Tensor._make_wrapper_subclass(
            cls, like.shape, strides=like.stride(), dtype=dtype, device=device, requires_grad=False
        )
        made._distorch2_name = name
        made._distorch2_why = why
        made._distorch2_fetch = fetch
        return made  # type: ignore[no-any-return]

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"<{self._distorch2_name}: {self._distorch2_why}>"

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        absents = [each for each in _flat((args, kwargs)) if isinstance(each, Absent)]
        absent = absents[0]
        if func is torch.ops.aten.detach.default:  # by which a Parameter is made, or .data asked for
            return absent._again()
        missing = next((each for each in absents if each._distorch2_fetch is None), None)
        if missing is None and not _writes_to(func, args, kwargs):
            return func(*_fetched(args, func), **_fetched(kwargs, func))
        absent = absent if missing is None else missing
        args = kwargs = absents = None  # a traceback keeps this frame, and would keep the weights that are among them
        raise FailedError(
            f"{absent._distorch2_name} was used by {func}, and it {absent._distorch2_why}",
            "a module that reads the weights of another names it in attach(whole=...)",
        )

    def _again(self) -> Absent:
        made = Absent(self, self._distorch2_name, self._distorch2_why, self.dtype, self.device, self._distorch2_fetch)
        made._distorch2_is_copy = True
        return made

    # -- who wants an address, or bytes, without an operation: what saves a state_dict() does --

    def data_ptr(self) -> int:
        return self._real().data_ptr()

    def untyped_storage(self) -> Any:  # of a module's own only its size is of use
        return self._real().untyped_storage() if self._gives_address else super().untyped_storage()

    def storage(self) -> Any:
        return self._real().storage()

    def numpy(self, *, force: bool = False) -> Any:
        return self._real().numpy(force=force)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._real().__reduce_ex__(protocol)

    @property
    def _gives_address(self) -> bool:
        """Whether it may keep the weight: as one of those that state_dict() gives, and not as the module's own."""
        is_own = isinstance(self, torch.nn.Parameter) or not self._distorch2_is_copy
        return self._distorch2_fetch is not None and not is_own

    def _real(self) -> torch.Tensor:
        """The weight, which stays as long as this stand-in does."""
        if not self._gives_address:
            raise FailedError(
                f"{self._distorch2_name} was asked for its bytes, and it {self._distorch2_why}",
                "state_dict() of a module that was attached with stray='fetch' has tensors that read them",
            )
        if self._distorch2_read is None:
            assert self._distorch2_fetch is not None
            self._distorch2_read = self._distorch2_fetch(self, "what saves it").detach()
        return self._distorch2_read


def _writes_to(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether an operation would write to a stand-in: that is lost, whatever is fetched."""
    for i, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[i] if i < len(args) else kwargs.get(argument.name)
            if any(isinstance(each, Absent) for each in _flat(value)):
                return True
    return False


def _fetched(value: Any, func: Any) -> Any:
    """Nested arguments with weights in the place of stand-ins."""
    if isinstance(value, Absent):
        assert value._distorch2_fetch is not None
        return value._distorch2_fetch(value, func)
    if isinstance(value, (list, tuple)):
        return type(value)(_fetched(each, func) for each in value)
    if isinstance(value, dict):
        return {key: _fetched(each, func) for key, each in value.items()}
    return value


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
