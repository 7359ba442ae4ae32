# SPDX-License-Identifier: BSD-3-Clause
"""One weight of a module: the pieces of a model's tensors that it is, and how it is made of them."""

from __future__ import annotations

from ctypes import c_size_t
from typing import Any, Callable, NamedTuple, Optional

import torch

from .._core import call
from .._native import lib
from ..model import Model
from ..tensor import capsule
from .buffers import Buffer, Buffers
from .dtypes import DTYPES

# What torch.from_dlpack() comes to for a capsule, without the way there.
from_capsule: Callable[[Any], torch.Tensor] = torch._C._from_dlpack

SMALL = 16 << 10
"""Bytes of a weight, such as a bias, that is cast once and kept: to make it for each use would take longer than to use it."""


class Span(NamedTuple):
    """``count`` elements of the tensor of that index, from ``first`` on, and the block that it is in; ``shape``: its
    own, where it has no other elements."""

    index: int
    block: int
    first: int
    count: int
    shape: Optional[tuple[int, ...]]


class Weight:
    """What a weight is made of, and what it becomes: a shape, in a dtype."""

    __slots__ = ("spans", "shape", "held", "via", "dtype", "blocks")

    def __init__(
        self,
        spans: tuple[Span, ...],
        shape: tuple[int, ...],
        held: torch.dtype,
        via: tuple[torch.dtype, ...],
        dtype: torch.dtype,
    ) -> None:
        self.spans = spans
        self.shape = shape
        self.held = held
        while via and via[-1] == dtype:  # the last cast does that
            via = via[:-1]
        while via and via[0] == held:
            via = via[1:]
        self.via = via
        self.dtype = dtype
        self.blocks = tuple(dict.fromkeys(span.block for span in spans))

    @property
    def is_view(self) -> bool:
        """Whether it is bytes of the model as they lie."""
        return len(self.spans) == 1 and self.held == self.dtype and not self.via

    @property
    def count(self) -> int:
        return sum(span.count for span in self.spans)

    @property
    def nbytes(self) -> int:
        return self.count * self.dtype.itemsize

    @property
    def is_small(self) -> bool:
        return self.nbytes <= SMALL

    def same(self) -> tuple[Any, ...]:
        """Equal for weights that are the same bytes."""
        return self.spans, self.shape, self.dtype

    def cast(self, piece: torch.Tensor) -> torch.Tensor:
        """A piece after the casts that the program's own loader did before the last."""
        for dtype in self.via:
            piece = piece.to(dtype)
        return piece

    def read(self, model: Model, device: torch.device) -> torch.Tensor:
        """A new tensor of it, whatever streams or is parked: read from where its pieces lie. Slow."""
        flat = torch.empty(self.count, dtype=self.dtype)
        at = 0
        for span in self.spans:
            if span.count:
                info = model._infos[span.index]
                bits = torch.frombuffer(model.tensors.at(span.index).read(), dtype=DTYPES[info.dtype])
                flat[at : at + span.count].copy_(self.cast(bits[span.first : span.first + span.count]))
            at += span.count
        return flat.reshape(self.shape).to(device)


class Slot:
    """One entry of a module's parameters or buffers, and the tensor that fills it while any unit uses it."""

    __slots__ = (
        "entries",
        "key",
        "absent",
        "weight",
        "simple",
        "index",
        "is_parameter",
        "grad",
        "resident",
        "users",
        "value",
        "buffer",
        "_indices",
        "_pieces",
        "_buffers",
    )

    def __init__(
        self, entries: dict[str, Any], key: str, absent: Any, weight: Weight, is_parameter: bool, buffers: Buffers
    ) -> None:
        self.entries = entries
        self.key = key
        self.absent = absent
        self.weight = weight
        self.simple = weight.is_view and weight.spans[0].shape == weight.shape
        self._indices = [c_size_t(span.index) for span in weight.spans]
        self._pieces: Optional[list[torch.Tensor]] = None
        self.index = self._indices[0]
        self.is_parameter = is_parameter
        self.grad = bool(absent.requires_grad)  # torch chooses kernels by it, also where no gradient is computed
        self._buffers = buffers
        self.users = 0
        self.value: Optional[torch.Tensor] = None
        self.buffer: Optional[Buffer] = None
        self.resident = False

    def find(self, model: Any) -> list[torch.Tensor]:
        """What it is cast of, all of which is on the compute device, for all uses."""
        self._pieces = [self._piece(model, None, i) for i in range(len(self.weight.spans))]
        return self._pieces

    def keep(self, model: Any) -> torch.Tensor:
        """The tensor for good: as it lies on the compute device, or cast of what lies there."""
        if self.weight.is_view:
            return self.view(model, None)
        device = self.find(model)[0].device
        value = self._fill(torch.empty(self.weight.count, dtype=self.weight.dtype, device=device), model, None)
        self._pieces = None
        return value

    def unsettle(self) -> None:
        """What was on the compute device may not be there any more."""
        self.entries[self.key] = self.absent
        self.resident = False
        self._pieces = None

    def view(self, model: Any, session: Any) -> torch.Tensor:
        """The tensor as it lies, by the handles of the model and, for a window's, of the session."""
        if self.simple:
            return self._finished(from_capsule(capsule(model, session, self.index)))
        return self._finished(self._piece(model, session, 0).view(self.weight.shape).detach())

    def copy(self, model: Any, session: Any) -> torch.Tensor:
        """The tensor where other weights were before."""
        weight = self.weight
        buffer = self._buffers.take(weight.nbytes)
        try:
            value = self._fill(buffer.elements(weight.dtype), model, session)
        except BaseException:
            self._buffers.give(buffer)
            raise
        self.buffer = buffer
        return value

    def _fill(self, memory: torch.Tensor, model: Any, session: Any) -> torch.Tensor:
        """The tensor, of its pieces, side by side at the begin of some memory: copied, which casts them. Those in the window
        each while its block is held, so that it need not have room for all of them."""
        weight, at = self.weight, 0
        for i, span in enumerate(weight.spans):
            part = memory.narrow(0, at, span.count)
            if self._pieces is not None:
                part.copy_(weight.cast(self._pieces[i]))
            else:
                call(lib.dt2_session_acquire, session, span.block, 0)
                try:
                    part.copy_(weight.cast(self._piece(model, session, i)))
                finally:
                    call(lib.dt2_session_release, session, span.block)
            at += span.count
        value = memory.narrow(0, 0, at).view(weight.shape).detach()  # torch chooses kernels by whether it is a view
        return self._finished(value)

    def _finished(self, value: torch.Tensor) -> torch.Tensor:
        if self.is_parameter:
            value._is_param = True  # an nn.Parameter, without a second tensor for it
            if self.grad:
                value.requires_grad_()
        return value

    def _piece(self, model: Any, session: Any, i: int) -> torch.Tensor:
        """The elements of one span, one after another."""
        span = self.weight.spans[i]
        whole = from_capsule(capsule(model, session, self._indices[i])).view(-1)
        return whole if span.shape is not None else whole.narrow(0, span.first, span.count)

    def leave(self, failed: bool) -> None:
        """One that uses it does so no longer."""
        self.users -= 1
        if self.users == 0:
            if failed and self.value is not None:  # an exception's frames may keep the weight: not its bytes as well
                self.value.data = torch.empty(0, dtype=self.value.dtype, device=self.value.device)
            self.entries[self.key] = self.absent
            self.value = None
            if self.buffer is not None:
                self._buffers.give(self.buffer)
                self.buffer = None
