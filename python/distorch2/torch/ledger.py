# SPDX-License-Identifier: BSD-3-Clause
"""Where every element of every weight of a network comes from: its program's own loader runs on tensors without bytes,
and what it does with them is written down.

    with Ledger(file) as ledger:
        network = the_programs_own_loader(ledger.tensors)
    attach(network, model, sources=ledger.record(network))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Callable, Optional, Union

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ..errors import FailedError, UsageError
from ..file import File, Path
from .dtypes import DTYPES, keeps_all
from .ranges import Gap, Origin, Part, Ranges, Source, Value, contiguous_strides, runs, value_of
from .record import Record, recorded

aten = torch.ops.aten

_EMPTY = (
    aten.empty,
    aten.empty_strided,
    aten.empty_like,
    aten.empty_permuted,
    aten.new_empty,
    aten.new_empty_strided,
)
_FILLED_LIKE = (
    aten.zeros_like,
    aten.ones_like,
    aten.full_like,
    aten.rand_like,
    aten.randn_like,
    aten.new_zeros,
    aten.new_ones,
    aten.new_full,
)
_COPIES = (aten.clone, aten._to_copy, aten.lift_fresh_copy, aten.contiguous)
_SAME = (aten._unsafe_view, aten.lift_fresh, aten._pin_memory, aten.detach)

_MOST_RUNS = 4096
"""Into which a copy may fall and still be followed: more are a transposed copy, element by element."""


class Ledger(TorchDispatchMode):
    """While it is entered, tensors of this thread that are made without values have no bytes either, whatever device is
    named, and copies between tensors are followed. What is computed stays real.

    ``source``: a :class:`File`, a path, or a mapping from names to tensors, whose shapes and dtypes are used.
    :attr:`tensors` is the state dictionary for the loader: meta tensors, and real ones where a tensor of a file has one
    element, since loaders look at those.
    """

    def __init__(self, source: Union[File, Path, Mapping[str, torch.Tensor]]) -> None:
        super().__init__()
        self._of: dict[int, Ranges] = {}
        self._rules: dict[Any, Callable[..., Any]] = {
            **dict.fromkeys(_EMPTY, self._empty),
            **dict.fromkeys(_FILLED_LIKE, self._filled_like),
            **dict.fromkeys(_COPIES, self._copied),
            **dict.fromkeys(_SAME, self._same),
            aten.copy_: self._copy_into,
            aten.fill_: self._fill,
            aten.zero_: self._fill,
            aten.cat: self._cat,
            aten.stack: self._stack,
            aten.is_pinned: lambda *_: False,
        }
        self.tensors: dict[str, torch.Tensor] = {}
        """The state dictionary to be given to the loader."""
        if isinstance(source, Mapping):
            for name, tensor in source.items():
                self._add(name, tensor.shape, tensor.dtype, None if tensor.is_meta else tensor)
        elif isinstance(source, File):
            self._add_file(source)
        else:
            with File(source) as file:
                self._add_file(file)

    # -- what is given to the loader --

    def _add_file(self, file: File) -> None:
        for index, info in enumerate(file.tensors):
            dtype = DTYPES.get(info.dtype)
            if dtype is None:
                raise UsageError(f"{info.name} is {info.dtype}, which this torch does not have")
            value = None
            if info.shape in ((), (1,)):
                value = torch.frombuffer(file.read(index), dtype=dtype).reshape(info.shape)
            self._add(info.name, info.shape, dtype, value)

    def _add(self, name: str, shape: Any, dtype: torch.dtype, value: Optional[torch.Tensor]) -> None:
        if value is not None and value.numel() == 1:
            made = value.detach().clone()
        else:
            made = torch.empty(tuple(shape), dtype=dtype, device="meta")
        ranges = self._of[made.untyped_storage()._cdata] = Ranges(made)
        ranges.write(0, [Part(made.numel(), Source(name, dtype), 0)])
        self.tensors[name] = made

    def record(self, module: torch.nn.Module, strict: bool = True) -> Record:
        """Where the weights of ``module`` come from. ``strict``: a weight that could not be followed is an error, which
        names it; otherwise it is in ``record.lost``. To be asked for when the ledger is left. What the file's tensors
        were copied to has no bytes afterwards, also where the module had made it with some."""
        self._drop_bytes(module)
        return recorded(module, tuple(self.tensors), self._parts_of, strict)

    def _drop_bytes(self, module: torch.nn.Module) -> None:
        dropped: dict[int, Any] = {}
        for each in module.modules():
            for entries in (each._parameters, each._buffers):
                for key, tensor in entries.items():
                    ranges = self._ranges(tensor) if tensor is not None and not tensor.is_meta else None
                    if tensor is None or ranges is None or not ranges.stale:
                        continue
                    if id(tensor) not in dropped:
                        dropped[id(tensor)] = tensor, self._without_bytes(tensor)
                    entries[key] = dropped[id(tensor)][1]

    def _without_bytes(self, tensor: torch.Tensor) -> torch.Tensor:
        made = torch.empty_like(tensor, device="meta")
        self._write(made, self._parts_of(tensor) or [])
        is_parameter = isinstance(tensor, torch.nn.Parameter)
        return torch.nn.Parameter(made, tensor.requires_grad) if is_parameter else made

    # -- what is known of a tensor --

    def _ranges(self, tensor: torch.Tensor) -> Optional[Ranges]:
        return self._of.get(tensor.untyped_storage()._cdata)

    def _followed(self, tensor: torch.Tensor) -> bool:
        return tensor.is_meta or self._ranges(tensor) is not None

    def _follow(self, tensor: torch.Tensor, whole: bool) -> Ranges:
        """Begins to follow a tensor. What a real one holds is kept, unless the whole of it is about to change."""
        ranges = self._ranges(tensor)
        if ranges is None:
            ranges = self._of[tensor.untyped_storage()._cdata] = Ranges(tensor)
            if not tensor.is_meta and not whole:
                flat = torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage()).clone()
                ranges.write(0, [Part(flat.numel(), Value(flat), 0)])
        return ranges

    def _parts_of(self, tensor: torch.Tensor) -> Optional[list[Part]]:
        """The parts of a tensor in the order of its elements; None: it is real."""
        if not self._followed(tensor):
            return None
        ranges = self._follow(tensor, whole=False)
        if ranges.dtype.itemsize != tensor.dtype.itemsize:
            names = self._names([tensor])
            return [Part(tensor.numel(), Gap(f"it is seen as {tensor.dtype}, and was {ranges.dtype}", names), 0)]
        stretches = runs(tensor.shape, contiguous_strides(tensor.shape), tensor.stride(), _MOST_RUNS)
        if stretches is None:
            return [Part(tensor.numel(), Gap("it is transposed: no ranges of the file", self._names([tensor])), 0)]
        start = tensor.storage_offset()
        return [part for _, offset, count in stretches for part in ranges.read(start + offset, count)]

    def _names(self, tensors: list[torch.Tensor]) -> tuple[str, ...]:
        """The tensors of the file that had a part in these."""
        names: dict[str, None] = {}
        for tensor in tensors:
            ranges = self._ranges(tensor)
            for offset, _, count in _stretches(tensor) if ranges is not None else ():
                for part in ranges.read(tensor.storage_offset() + offset, count):
                    names.update(dict.fromkeys(_sources(part.origin)))
        return tuple(names)

    def _value(self, tensor: torch.Tensor) -> Optional[torch.Tensor]:
        """A real tensor of the same values; None where they are not known."""
        ranges = self._ranges(tensor)
        if not tensor.is_meta and not (ranges is not None and ranges.stale):
            return tensor
        parts = self._parts_of(tensor) or []
        if not all(isinstance(part.origin, Value) for part in parts):
            return None
        return value_of(parts, tensor)

    # -- writing --

    def _write(self, target: torch.Tensor, parts: list[Part]) -> None:
        """Puts parts, in the order of its elements, where a tensor lies."""
        ranges = self._follow(target, whole=target.numel() == _elements(target))
        ranges.stale = True
        stretches = runs(target.shape, target.stride(), contiguous_strides(target.shape), _MOST_RUNS)
        if stretches is None or ranges.dtype.itemsize != target.dtype.itemsize:
            why = "it is written element by element" if stretches is None else f"it is written as {target.dtype}"
            self._lose(target, why, [part.origin for part in parts])
            return
        source = Ranges(target)
        source.write(0, parts)
        start = target.storage_offset()
        for offset, first, count in stretches:
            ranges.write(start + offset, list(source.read(first, count)))

    def _lose(self, target: torch.Tensor, why: str, origins: list[Origin], names: tuple[str, ...] = ()) -> None:
        """Nobody can tell any more what the storage of a tensor holds."""
        ranges = self._follow(target, whole=True)
        ranges.stale = True
        found = dict.fromkeys(names + self._names([target]))
        for origin in origins:
            found.update(dict.fromkeys(_sources(origin)))
        if target.numel() == _elements(target):
            ranges.write(0, [Part(target.numel(), Gap(why, tuple(found)), 0)])
            return
        for offset, _, count in _stretches(target):
            ranges.write(target.storage_offset() + offset, [Part(count, Gap(why, tuple(found)), 0)])

    def _move(self, target: torch.Tensor, source: torch.Tensor) -> None:
        """What copying a tensor into another does, with cast and broadcast."""
        source = source.expand(target.shape)
        parts = self._parts_of(source)
        if parts is None:
            parts = [Part(source.numel(), Value(source.to(target.dtype).flatten().clone()), 0)]
        self._write(target, [_cast(part, source.dtype, target.dtype) for part in parts])

    # -- the operations that are followed --

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        rule = self._rules.get(func.overloadpacket)
        if rule is not None:
            return rule(func, args, kwargs)
        tensors = [each for each in _leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
        if not any(self._followed(each) for each in tensors):
            return func(*args, **kwargs)
        with self:
            result = func.decompose(*args, **kwargs)
        if result is not NotImplemented:
            return result
        if _is_view(func):
            return func(*args, **kwargs)
        return self._compute(func, args, kwargs, tensors)

    def _empty(self, func: Any, args: Any, kwargs: Any) -> torch.Tensor:
        kwargs.pop("pin_memory", None)
        kwargs["device"] = torch.device("meta")
        made: torch.Tensor = func(*args, **kwargs)
        self._follow(made, whole=True)
        return made

    def _filled_like(self, func: Any, args: Any, kwargs: Any) -> torch.Tensor:
        """What is computed is real, also where the tensor that it is like is not."""
        if self._followed(args[0]):
            args = (torch.empty(1, dtype=args[0].dtype).expand(args[0].shape), *args[1:])
        made: torch.Tensor = func(*args, **kwargs)
        return made

    def _same(self, func: Any, args: Any, kwargs: Any) -> Any:
        return args[0] if func.overloadpacket is aten._pin_memory else func(*args, **kwargs)

    def _copied(self, func: Any, args: Any, kwargs: Any) -> torch.Tensor:
        source = args[0]
        if func.overloadpacket is aten.contiguous:
            if source.is_contiguous():
                return source  # type: ignore[no-any-return]
            kwargs["memory_format"] = torch.contiguous_format
        if not self._followed(source):
            return func(*args, **kwargs)  # type: ignore[no-any-return]
        ranges = self._ranges(source)
        if ranges is not None and not ranges.stale:  # a tensor of one element, whose value stays known
            made = func(*args, **kwargs)
            self._move(made, source)
            self._follow(made, whole=True).stale = False
            return made  # type: ignore[no-any-return]
        made = torch.empty_like(
            source,
            device="meta",
            dtype=kwargs.get("dtype") or source.dtype,
            memory_format=kwargs.get("memory_format") or torch.preserve_format,
        )
        self._move(made, source)
        return made

    def _copy_into(self, func: Any, args: Any, kwargs: Any) -> torch.Tensor:
        target, source = args[0], args[1]
        if not self._followed(target) and not self._followed(source):
            return func(*args, **kwargs)  # type: ignore[no-any-return]
        self._move(target, source)
        return target  # type: ignore[no-any-return]

    def _fill(self, func: Any, args: Any, kwargs: Any) -> torch.Tensor:
        target = args[0]
        if not self._followed(target):
            return func(*args, **kwargs)  # type: ignore[no-any-return]
        value = args[1] if len(args) > 1 else 0
        if isinstance(value, torch.Tensor):
            self._move(target, value)
        else:
            one = torch.full((1,), value, dtype=target.dtype)
            self._write(target, [Part(target.numel(), Value(one.expand(target.numel())), 0)])
        return target  # type: ignore[no-any-return]

    def _cat(self, func: Any, args: Any, kwargs: Any) -> torch.Tensor:
        tensors = list(args[0])
        if not any(self._followed(each) for each in tensors):
            return func(*args, **kwargs)  # type: ignore[no-any-return]
        made = func([_as_meta(each) for each in tensors], *args[1:], **kwargs)
        dim = args[1] if len(args) > 1 else kwargs.get("dim", 0)
        at = 0
        for each in tensors:
            if each.dim() == 1 != made.dim() and each.numel() == 0:  # which torch lets pass
                continue
            self._move(made.narrow(dim, at, each.shape[dim]), each)
            at += each.shape[dim]
        return made  # type: ignore[no-any-return]

    def _stack(self, func: Any, args: Any, kwargs: Any) -> torch.Tensor:
        tensors = list(args[0])
        if not any(self._followed(each) for each in tensors):
            return func(*args, **kwargs)  # type: ignore[no-any-return]
        made = func([_as_meta(each) for each in tensors], *args[1:], **kwargs)
        dim = args[1] if len(args) > 1 else kwargs.get("dim", 0)
        for i, each in enumerate(tensors):
            self._move(made.select(dim, i), each)
        return made  # type: ignore[no-any-return]

    # -- all others --

    def _compute(self, func: Any, args: Any, kwargs: Any, tensors: list[torch.Tensor]) -> Any:
        """Any other operation is done where the values are known. Where they are not, so is its result."""
        written = _written(func, args, kwargs)
        followed = [each for each in tensors if self._followed(each)]
        real = {id(each): self._value(each) for each in followed}
        back = {}
        if all(value is not None for value in real.values()):
            result = func(*_mapped(args, real), **_mapped(kwargs, real))
            for target in written:
                done = real.get(id(target))
                if done is target:  # it is real, and is not what it was any more
                    self._of.pop(target.untyped_storage()._cdata)
                elif done is not None:
                    self._move(target, done)
                    back[id(done)] = target
            return _mapped(result, back)
        names = self._names(followed)
        why = f"{func.overloadpacket} computed it" + (f" from {', '.join(names[:3])}" if names else "")
        if any("Tensor" not in str(each.type) for each in func._schema.returns):
            raise FailedError(
                f"the loader asks for values of {', '.join(names[:3]) or 'a weight'} ({func.overloadpacket}), "
                "and only tensors of one element are read"
            )
        meta = {id(each): _as_meta(each) for each in tensors}
        result = func(*_mapped(args, meta), **_mapped(kwargs, meta))
        for target in written:
            self._lose(target, why, [], names)
            back[id(meta[id(target)])] = target
        for each in _leaves(result):
            if isinstance(each, torch.Tensor) and id(each) not in back:
                self._lose(each, why, [], names)
        return _mapped(result, back)


def _as_meta(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor, or one like it that has no bytes."""
    return tensor if tensor.is_meta else torch.empty_like(tensor, device="meta")


def _elements(tensor: torch.Tensor) -> int:
    """How many its storage has."""
    return int(tensor.untyped_storage().nbytes() // tensor.dtype.itemsize)


def _stretches(tensor: torch.Tensor) -> Iterator[tuple[int, int, int]]:
    """All of a tensor that is not the whole of its storage, or the whole from its first to its last element."""
    found = runs(tensor.shape, tensor.stride(), contiguous_strides(tensor.shape), _MOST_RUNS)
    if found is not None:
        yield from found
    else:
        yield 0, 0, 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride()))


def _sources(origin: Origin) -> tuple[str, ...]:
    """The tensors of the file that it names."""
    return (origin.name,) if isinstance(origin, Source) else getattr(origin, "sources", ())


def _is_view(func: Any) -> bool:
    """Whether all that an operation returns lies where its arguments do."""
    returns = func._schema.returns
    return bool(returns) and all(each.alias_info is not None and not each.alias_info.is_write for each in returns)


def _cast(part: Part, held: torch.dtype, wanted: torch.dtype) -> Part:
    if held == wanted:
        return part
    origin = part.origin
    if isinstance(origin, Source) and not keeps_all(origin.held, wanted):
        return part._replace(origin=Source(origin.name, wanted, (*origin.via, wanted)))
    if isinstance(origin, Value):
        return part._replace(origin=Value(origin.flat.to(wanted)))
    return part


def _written(func: Any, args: Any, kwargs: Any) -> list[torch.Tensor]:
    """The tensors that an operation writes to."""
    found = []
    for i, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[i] if i < len(args) else kwargs.get(argument.name)
            found += [each for each in _leaves(value) if isinstance(each, torch.Tensor)]
    return found


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _leaves(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _leaves(each)
    else:
        yield value


def _mapped(value: Any, instead: Mapping[int, Any]) -> Any:
    """Nested values with others in the place of those that are named by their ids."""
    if isinstance(value, (list, tuple)):
        return type(value)(_mapped(each, instead) for each in value)
    if isinstance(value, dict):
        return {key: _mapped(each, instead) for key, each in value.items()}
    return instead.get(id(value), value)


def trace(
    source: Union[File, Path, Mapping[str, torch.Tensor]],
    build: Callable[[dict[str, torch.Tensor]], torch.nn.Module],
    strict: bool = True,
) -> tuple[torch.nn.Module, Record]:
    """Runs ``build``, a program's own loader, on a state dictionary without bytes; returns the module that it made, and
    the record of where its weights come from, for ``attach(module, model, sources=record)``.

    ``source`` is a :class:`File`, a path, or a mapping from names to tensors. Views, slices, copies, casts and
    concatenations are followed; a weight that was computed otherwise is a :class:`FailedError` that names it, unless
    ``strict`` is False: then ``record.lost`` has it.
    """
    with Ledger(source) as ledger:
        module = build(ledger.tensors)
    return module, ledger.record(module, strict)
