# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch modules that run on a loaded model: each layer's weights are there while it computes, and no longer.

    with torch.device("meta"):
        network = ControlNetModel.from_config(config)
    with context.load(path, compute_device="cpu", expert_mode_allocations="cpu,30%;opencl:0,*") as model:
        with distorch2.torch.attach(network, model), torch.no_grad():
            network(...)

Forward hooks on every module that owns parameters or buffers acquire them before its forward and release them after it.
Between times a parameter is a stand-in that has shape, dtype and device, and raises an error with its name when
anything computes with it.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from ctypes import c_size_t, c_void_p
from functools import partial
from typing import Any, Callable, Optional, Union

import torch

from ._core import failure
from ._handle import Call
from ._native import lib
from ._standin import Absent
from .errors import UsageError
from .model import Model
from .session import Session, SessionStatistics, Span
from .tensor import capsule, scratch

# What torch.from_dlpack() comes to for a capsule, without the way there.
_from_capsule: Callable[[Any], torch.Tensor] = torch._C._from_dlpack
_acquire = lib.dt2_session_acquire
_release = lib.dt2_session_release

DTYPES: dict[str, torch.dtype] = {
    name: getattr(torch, attribute)
    for name, attribute in {
        "BOOL": "bool",
        "U8": "uint8",
        "I8": "int8",
        "I16": "int16",
        "U16": "uint16",
        "I32": "int32",
        "U32": "uint32",
        "I64": "int64",
        "U64": "uint64",
        "F16": "float16",
        "BF16": "bfloat16",
        "F32": "float32",
        "F64": "float64",
        "C64": "complex64",
        "F8_E4M3": "float8_e4m3fn",
        "F8_E5M2": "float8_e5m2",
        "F8_E8M0": "float8_e8m0fnu",
    }.items()
    if hasattr(torch, attribute)
}
"""The safetensors names of what this torch can hold."""

NameMap = Union[None, Mapping[str, str], Callable[[str], Optional[str]]]
"""From a parameter's name in the module to a tensor's name in the model; None: it is not in the model."""


def torch_device(name: str) -> torch.device:
    """torch's name for a device of ours. OpenCL devices have none."""
    kind, _, number = name.partition(":")
    if kind == "cpu":
        return torch.device("cpu")
    if kind in ("cuda", "hip"):
        if (kind == "hip") != (torch.version.hip is not None):
            raise UsageError(
                f"the model computes on {name}, and this torch is built for {'CUDA' if kind == 'hip' else 'HIP'}"
            )
        return torch.device("cuda", int(number or 0))
    raise UsageError(
        f"the model computes on {name}, and torch cannot compute there",
        "load it with compute_device='cpu', or a device of cuda or hip",
    )


class _Slot:
    """One entry of a module's parameters or buffers, and the tensor that fills it while any unit uses it."""

    __slots__ = ("entries", "key", "absent", "index", "block", "is_parameter", "grad", "cast", "users", "value")

    def __init__(self, place: _Place) -> None:
        assert place.index is not None
        self.entries = place.entries
        self.key = place.key
        self.absent = place.absent
        self.index = c_size_t(place.index)
        self.block = place.block
        self.is_parameter = place.is_parameter
        self.grad = place.before.requires_grad  # torch chooses kernels by it, also where no gradient is computed
        self.cast = place.cast
        self.users = 0
        self.value: Optional[torch.Tensor] = None

    def fill(self, model: c_void_p, session: Optional[c_void_p]) -> None:
        value = _from_capsule(capsule(model, session, self.index))
        if self.cast is not None:
            value = value.to(self.cast)
        if self.is_parameter:
            value._is_param = True  # an nn.Parameter, without a second tensor for it
            if self.grad:
                value.requires_grad_()
        self.entries[self.key] = self.value = value

    def leave(self, failed: bool) -> None:
        self.users -= 1
        if self.users == 0:
            if failed and self.value is not None:  # an exception's frames may keep the weight: not its bytes as well
                self.value.data = torch.empty(0, dtype=self.value.dtype, device=self.value.device)
            self.entries[self.key] = self.absent
            self.value = None


class _Unit:
    """What one module needs around its forward: blocks to hold, and slots to fill from them."""

    __slots__ = ("attachment", "name", "blocks", "slots", "depth", "held", "filled", "last_hook")

    def __init__(self, attachment: Attachment, name: str, slots: list[_Slot]) -> None:
        self.attachment = attachment
        self.name = name
        self.slots = slots
        self.blocks = [c_size_t(block) for block in dict.fromkeys(slot.block for slot in slots)]
        self.depth = 0
        self.held = 0
        self.filled = 0
        self.last_hook = -1

    def enter(self, module: torch.nn.Module, _args: Any) -> None:
        attachment = self.attachment
        attachment._begin(self)
        hooks = module._forward_hooks
        if next(reversed(hooks)) != self.last_hook:  # hooks that came later may read the weights: ours is the last
            hooks.move_to_end(self.last_hook)  # type: ignore[attr-defined]
        if self.depth > 1:  # a module within itself
            return
        session, error = attachment._session_arg, scratch.error_ref
        for block in self.blocks:
            if _acquire(session, block, 0, error) < 0:
                raise failure(scratch.error)
            self.held += 1
        if torch.is_inference_mode_enabled():
            with torch.inference_mode(False):  # a tensor that is made in this mode meets other kernels
                self._fill(attachment._model_arg, session)
        else:
            self._fill(attachment._model_arg, session)

    def _fill(self, model: c_void_p, session: c_void_p) -> None:
        for slot in self.slots:
            if slot.users == 0:
                slot.fill(model, session)
            slot.users += 1
            self.filled += 1

    def leave(self, _module: torch.nn.Module, _args: Any, result: Any) -> None:
        """Also called where the forward, or a hook before ours, failed: then it may not have been entered at all."""
        if self.depth and threading.get_ident() == self.attachment._thread:
            self.depth -= 1
            if self.depth == 0:
                self.release(failed=result is None and sys.exc_info()[0] is not None)

    def release(self, failed: bool) -> None:
        """Gives all of it back, also what an entry that failed had got so far."""
        attachment = self.attachment
        self.depth = 0
        while self.filled:
            self.filled -= 1
            self.slots[self.filled].leave(failed)
        refused = None
        error = scratch.error_ref
        while self.held:
            self.held -= 1
            if _release(attachment._session_arg, self.blocks[self.held], error) < 0:
                refused = failure(scratch.error)
        attachment._end(self)
        if refused is not None:
            raise refused


class _Root(_Unit):
    """The module that was attached: its forward is a pass."""

    __slots__ = ()

    def enter(self, module: torch.nn.Module, _args: Any) -> None:
        attachment = self.attachment
        if attachment._active and threading.get_ident() == attachment._thread:
            attachment._release_all()  # a pass that Ctrl-C ended ran none of its hooks
        super().enter(module, _args)

    def release(self, failed: bool) -> None:
        super().release(failed)
        if not self.attachment.session.closed:
            self.attachment.session.next_pass()


class Attachment:
    """A module that runs on a model. :meth:`detach`, or leaving ``with``, makes the module what it was before."""

    def __init__(
        self,
        module: torch.nn.Module,
        model: Model,
        session: Optional[Session] = None,
        *,
        dtype: Optional[torch.dtype] = None,
        prefix: str = "",
        names: NameMap = None,
        whole: Iterable[Union[str, type, torch.nn.Module]] = (),
        **session_options: Any,
    ) -> None:
        self.module = module
        self.model = model
        self.device = torch_device(model.plan.compute_device)
        """Where the module computes, in torch's terms."""
        self.missing: list[str] = []
        """Names of parameters and buffers of the module that the model does not have."""
        self.unused: list[str] = []
        """Names of tensors of the model that the module does not have."""
        self._dtype = dtype
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._thread = 0
        self._active: list[_Unit] = []
        self._in_flight: Optional[Call] = None
        self._undo: list[Callable[[], Any]] = []
        self._attached = False
        if getattr(module, "_distorch2_attachment", None) is not None:
            raise UsageError(f"this {type(module).__name__} is attached to a model already", "detach() it first")
        wanted = _Wanted(module, model, dtype, self.device, prefix, names)
        self.missing, self.unused = wanted.missing, wanted.unused
        self.session, self._owned = self._open(session, session_options)
        self._session_arg, self._model_arg = c_void_p(self.session._ptr), c_void_p(model._ptr)
        self._streams = self.device.type == "cuda" and self.session._stream is not None
        try:
            self._place(wanted)
            self._hook(wanted, tuple(whole))
            self._answer_as_root(wanted)
        except BaseException:
            self.detach()
            raise
        self._attached = True

    # -- making it --

    def _open(self, session: Optional[Session], options: dict[str, Any]) -> tuple[Session, bool]:
        if session is not None:
            if options:
                raise TypeError(f"{next(iter(options))} is an option of a session, and one was given")
            if session.model._ptr != self.model._ptr:
                raise UsageError("the session is one of another model")
            if self.device.type == "cuda" and session._stream is None:
                raise UsageError(
                    f"the session has no stream: what torch queues on {self.device} would read its weights too late",
                    "model.session(stream=torch.cuda.current_stream())",
                )
            return session, False
        if self.device.type == "cuda":
            options.setdefault("stream", torch.cuda.current_stream(self.device).cuda_stream)
        return Session(self.model, **options), True

    def _place(self, wanted: _Wanted) -> None:
        """Resident weights take their places for good; the others get stand-ins."""
        kept = 0
        shared: dict[tuple[int, bool], torch.Tensor] = {}
        for place in wanted.places:
            entries, key, before = place.entries, place.key, place.before
            self._undo.append(partial(entries.__setitem__, key, before))
            if place.absent is None:
                continue
            kept += 0 if before.is_meta else before.nbytes
            entries[key] = place.absent
            if place.index is not None and place.cast is None and not self.session.streams(place.block):
                again = (place.index, place.is_parameter)
                if again not in shared:
                    with torch.inference_mode(False):
                        _Slot(place).fill(self._model_arg, None)
                    shared[again] = entries[key]
                entries[key] = shared[again]
                place.resident = True
        if kept:
            warnings.warn(
                f"{kept} bytes of parameters stay in memory beside the model's, to be there again after detach(): "
                "make the module under torch.device('meta')",
                stacklevel=4,
            )

    def _hook(self, wanted: _Wanted, whole: tuple[Union[str, type, torch.nn.Module], ...]) -> None:
        slot_of = {place: _Slot(place) for place in wanted.places if place.index is not None and not place.resident}
        for name, module in self.module.named_modules():
            owners = module.modules() if _reads_all(name, module, whole) else (module,)
            slots = [slot_of[place] for owner in owners for place in wanted.of.get(owner, ()) if place in slot_of]
            if module is self.module:
                self._watch(module, _Root(self, "", slots))
            elif slots:
                self._watch(module, _Unit(self, name, slots))

    def _watch(self, module: torch.nn.Module, unit: _Unit) -> None:
        before = module.register_forward_pre_hook(unit.enter, prepend=True)
        after = module.register_forward_hook(unit.leave, always_call=True)
        unit.last_hook = after.id
        self._undo += [before.remove, after.remove]

    def _answer_as_root(self, wanted: _Wanted) -> None:
        """The root answers whoever wants to move the module: a pipeline says where it computes, which is where it
        is."""
        module = self.module
        module._distorch2_attachment = self  # type: ignore[assignment]
        self._undo.append(lambda: delattr(module, "_distorch2_attachment"))
        own = module.__dict__.get("_apply")
        compute = wanted.dtype

        def apply(convert: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> torch.nn.Module:
            probe = torch.empty(0, dtype=compute, device=self.device)
            result = convert(probe)
            if result.device != probe.device or result.dtype != probe.dtype:
                raise UsageError(
                    f"this {type(module).__name__} computes on {probe.device} in {probe.dtype} as its model was "
                    f"loaded: it cannot become {result.device}, {result.dtype}",
                    "load the model for another compute_device, or attach(dtype=...)",
                )
            return module

        module.__dict__["_apply"] = apply
        if own is None:
            self._undo.append(lambda: module.__dict__.pop("_apply", None))
        else:
            self._undo.append(lambda: module.__dict__.__setitem__("_apply", own))

    # -- running --

    def _begin(self, unit: _Unit) -> None:
        """Makes a unit active, or says why it must not be."""
        if torch.is_grad_enabled():
            raise UsageError(
                f"a forward of {self._called(unit)} with gradients enabled: its weights are gone when a backward pass "
                "would read them",
                "use torch.no_grad() or torch.inference_mode()",
            )
        if self._pid != os.getpid():
            self.session._check_process()
        thread = threading.get_ident()
        with self._lock:
            if self._active and thread != self._thread:
                raise UsageError(
                    f"a forward of {self._called(unit)} while another thread runs one",
                    "one thread at a time; a module of its own with an attachment of its own runs beside it",
                )
            if not self._active:
                self._in_flight = self._enter()
            self._thread = thread
            unit.depth += 1
            if unit.depth == 1:
                self._active.append(unit)
        if self._streams:
            stream = torch.cuda.current_stream(self.device).cuda_stream
            if stream != self.session._stream:
                self.session.use_stream(stream)

    def _enter(self) -> Call:
        """A forward is a call in flight with the session: who closes that meanwhile does not take the weights away."""
        with self.model._call():
            call = self.session._call()
            call.__enter__()
            return call

    def _end(self, unit: _Unit) -> None:
        with self._lock:
            self._active.remove(unit)
            over = None if self._active else self._in_flight
        if over is not None:
            self._in_flight = None
            over.__exit__()

    def _called(self, unit: _Unit) -> str:
        return unit.name or type(self.module).__name__

    def _release_all(self) -> None:
        while self._active:
            self._active[-1].release(failed=True)

    def statistics(self, span: Span = Span.TOTAL) -> SessionStatistics:
        """What the session did: see :meth:`Session.statistics`."""
        return self.session.statistics(span)

    # -- ending it --

    def detach(self) -> None:
        """Takes the hooks off, puts back the parameters that the module had, and closes the session unless it was
        given. What is detached already stays so."""
        self.session._check_process()
        self._release_all()
        while self._undo:
            self._undo.pop()()
        if self._owned:
            self.session.close()
        self._attached = False

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    def __deepcopy__(self, _memo: Any) -> Any:
        raise TypeError("a module that is attached to a model cannot be copied: detach() it first")

    def __repr__(self) -> str:
        return f"<Attachment of {type(self.module).__name__} to {self.model!r}{'' if self._attached else ', detached'}>"


def _reads_all(name: str, module: torch.nn.Module, whole: tuple[Union[str, type, torch.nn.Module], ...]) -> bool:
    """Whether a module reads the weights of the modules in it by itself: torch's attention does."""
    if isinstance(module, torch.nn.MultiheadAttention):
        return True
    return any(
        isinstance(module, each)
        if isinstance(each, type)
        else (each == name if isinstance(each, str) else each is module)
        for each in whole
    )


class _Place:
    """A parameter or buffer of a module: what it was, and which tensor of the model it is to be."""

    __slots__ = ("entries", "key", "before", "is_parameter", "absent", "index", "block", "cast", "resident")

    def __init__(self, entries: dict[str, Any], key: str, before: torch.Tensor, is_parameter: bool) -> None:
        self.entries = entries
        self.key = key
        self.before = before
        self.is_parameter = is_parameter
        self.absent: Optional[Any] = None
        self.index: Optional[int] = None
        self.block = 0
        self.cast: Optional[torch.dtype] = None
        self.resident = False


class _Wanted:
    """Which tensor of the model each parameter and buffer of a module is. Nothing is changed here."""

    def __init__(
        self,
        module: torch.nn.Module,
        model: Model,
        dtype: Optional[torch.dtype],
        device: torch.device,
        prefix: str,
        names: NameMap,
    ) -> None:
        self.missing: list[str] = []
        self.of: dict[torch.nn.Module, list[_Place]] = {}
        self.dtype: torch.dtype = torch.float32
        self._model = model
        self._cast = dtype
        self._device = device
        tied = self._collect(module)
        found: dict[int, int] = {}
        for entries in tied.values():
            for name, _ in entries:
                index = self._index(name, prefix, names)
                if index is not None:
                    found[id(entries)] = index
                    break
        used = set(found.values())
        self.unused = [info.name for i, info in enumerate(model._infos) if i not in used]
        if not found:
            self._nothing_fits(prefix, next(iter(tied.values()), []))
        absents: dict[int, Any] = {}
        for entries in tied.values():
            index = found.get(id(entries))
            for name, place in entries:
                if index is not None:
                    self._choose(name, place, index, absents)
                else:
                    self._leave(name, place)
        self._choose_dtype()

    @property
    def places(self) -> Iterator[_Place]:
        for places in self.of.values():
            yield from places

    def _collect(self, module: torch.nn.Module) -> dict[int, list[tuple[str, _Place]]]:
        """All places by the tensor that is there: tied weights are one tensor in several places."""
        tied: dict[int, list[tuple[str, _Place]]] = {}
        for path, each in module.named_modules():
            for entries, is_parameter in ((each._parameters, True), (each._buffers, False)):
                for key, before in entries.items():
                    if before is not None:
                        place = _Place(entries, key, before, is_parameter)
                        self.of.setdefault(each, []).append(place)
                        tied.setdefault(id(before), []).append((f"{path}.{key}" if path else key, place))
        return tied

    def _index(self, name: str, prefix: str, names: NameMap) -> Optional[int]:
        mapped: Optional[str] = name
        if names is not None:
            mapped = names(name) if callable(names) else names.get(name, name)
        return None if mapped is None else self._model._indices.get(prefix + mapped)

    def _nothing_fits(self, prefix: str, entries: list[tuple[str, _Place]]) -> None:
        example = entries[0][0] if entries else "no parameter"
        tensor = self._model._infos[0].name if self._model._infos else "nothing"
        raise UsageError(
            f"the module and {self._model.name} have no name in common: the one has {prefix + example}, "
            f"the other {tensor}",
            "prefix= and names= say how the names of one become those of the other",
        )

    def _choose(self, name: str, place: _Place, index: int, absents: dict[int, Any]) -> None:
        info = self._model._infos[index]
        if info.shape != tuple(place.before.shape):
            raise UsageError(
                f"{name} is {list(place.before.shape)} in the module, and {info.name} {list(info.shape)} in the model"
            )
        held = DTYPES.get(info.dtype)
        if held is None:
            raise UsageError(f"{info.name} is {info.dtype}, which this torch does not have")
        place.index = index
        place.block = int(lib.dt2_model_tensor_block(self._model._ptr, index))
        if self._cast is not None and held.is_floating_point and held != self._cast:
            place.cast = self._cast
        if index not in absents:
            absents[index] = self._stand_in(
                place, name, "is on no device outside of its module's forward", place.cast or held
            )
        place.absent = absents[index]

    def _leave(self, name: str, place: _Place) -> None:
        """What the model does not have stays as it is; on the meta device it is an error at use."""
        self.missing.append(name)
        if place.before.is_meta:
            place.absent = self._stand_in(
                place, name, "is not in the model, and on the meta device", place.before.dtype
            )

    def _stand_in(self, place: _Place, name: str, why: str, dtype: torch.dtype) -> Any:
        like = torch.empty(place.before.shape, device="meta")
        absent = Absent(like, name, why, dtype, self._device)
        return torch.nn.Parameter(absent, place.before.requires_grad) if place.is_parameter else absent

    def _choose_dtype(self) -> None:
        """The dtype that the module shows: of its first floating-point parameter."""
        for place in self.places:
            shown = place.absent if place.absent is not None else place.before
            if shown.dtype.is_floating_point:
                self.dtype = shown.dtype
                return


def attach(
    module: torch.nn.Module,
    model: Model,
    session: Optional[Session] = None,
    dtype: Optional[torch.dtype] = None,
    *,
    prefix: str = "",
    names: NameMap = None,
    whole: Iterable[Union[str, type, torch.nn.Module]] = (),
    **session_options: Any,
) -> Attachment:
    """Makes ``module`` run on ``model``: its weights are those of the model, each there while a layer needs it.

    The module's parameters should be on the meta device (make it under ``torch.device("meta")``): what they hold
    otherwise stays in memory beside the model, and a warning says so. Its forward is refused with gradients enabled,
    and runs in one thread at a time.

    ``session``: an open session of the model; without one, one is opened with ``session_options`` (as of
    :class:`Session`: ``window_bytes``, ``host_memory``, ...) and closed by :meth:`Attachment.detach`. ``dtype``: weights of
    floating point are cast to it at each use; without it they are used as they are. ``prefix`` is what the model's
    names have before the module's; ``names``, a mapping or a function, tells a tensor's name (without the prefix) for a
    parameter's, or None for one that the model does not have. ``whole``: modules (names, classes, or modules) whose
    forward reads weights of modules within them directly, so that all of them are there during it. Of
    ``torch.nn.MultiheadAttention`` and of tied weights this is known.

    Raises :class:`UsageError` when shapes differ, nothing fits, or torch cannot compute on the model's compute device.
    A weight that nobody provides is an error that names it, when it is used.
    """
    return Attachment(module, model, session, dtype=dtype, prefix=prefix, names=names, whole=whole, **session_options)


__all__ = ["DTYPES", "Attachment", "attach", "torch_device"]
