# SPDX-License-Identifier: BSD-3-Clause
"""A module that runs on a model: its weights take their places, and what runs it is told when they are needed."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Callable, Optional, Union

import torch

from ..errors import BusyError, DistorchError, UsageError
from ..model import Model, viewers_of
from ..session import Session, SessionStatistics, Span
from .buffers import Buffers
from .devices import torch_device
from .owned import Missing, Owned
from .passes import Root, Running, Unit
from .places import Dtypes, NameMap, Place, Places, Sources
from .standin import Absent
from .weights import Slot, Weight

Whole = Iterable[Union[str, type, torch.nn.Module]]


class Attachment:
    """A module that runs on a model. :meth:`detach`, or leaving ``with``, makes the module what it was before.

    The module holds its attachment, and not the other way round: what runs on a model goes when its program lets go of
    it, and the session with it.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        model: Model,
        session: Optional[Session] = None,
        *,
        dtype: Dtypes = None,
        prefix: str = "",
        names: NameMap = None,
        sources: Optional[Sources] = None,
        whole: Whole = (),
        own: Iterable[str] = (),
        missing: Missing = None,
        stray: str = "error",
        relay: bool = False,
        moves: str = "refuse",
        **session_options: Any,
    ) -> None:
        _one_of("stray", stray, ("error", "fetch"))
        _one_of("moves", moves, ("refuse", "ignore"))
        self.model = model
        self._pointer = model._ptr
        self.device = torch_device(model.plan.compute_device, _devices_of(model))
        """Where the module computes, in torch's terms."""
        self._module = weakref.ref(module, partial(_module_gone, weakref.ref(self)))
        self._called = type(module).__name__
        self._undo: list[Callable[[], Any]] = []
        self._units: list[Unit] = []
        self._attached = False
        if getattr(module, "_distorch2_attachment", None) is not None:
            raise UsageError(f"this {self._called} is attached to a model already", "detach() it first")
        own = [own] if isinstance(own, str) else list(own)
        places = Places(module, model, dtype=dtype, prefix=prefix, names=names, sources=sources, own=own)
        owned = Owned(model, self.device, sources, missing)
        self.missing: list[str] = places.missing
        """Names of parameters and buffers of the module that the model does not have."""
        self.unused: list[str] = places.unused
        """Names of tensors of the model that the module does not have."""
        self.session, self._owned = self._open(session, session_options)
        self._running = Running(self.session, self._called, self.device)
        self._buffers = Buffers(self.device)
        try:
            self._settle(self._take(module, places, owned, tuple(whole), stray, relay))
            self._answer_as_root(module, places, moves)
        except BaseException:
            self.detach()
            raise
        self._attached = True
        viewers_of(self._pointer).add(self)

    @property
    def module(self) -> Optional[torch.nn.Module]:
        """The module; None when nobody else has it any more."""
        return self._module()

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

    def _take(
        self, module: torch.nn.Module, places: Places, owned: Owned, whole: tuple[Any, ...], stray: str, relay: bool
    ) -> list[Slot]:
        """Fills all places, of the model's with stand-ins for now, and makes units of what reads them."""
        kept = 0
        slot_of: dict[Place, Slot] = {}
        absents: dict[Any, Any] = {}
        fetch = _Fetch(self.model, self.device) if stray == "fetch" else None
        for place in places:
            self._undo.append(partial(place.entries.__setitem__, place.key, place.before))
            if place.own or place.weight is None:
                place.entries[place.key] = owned.fill(place)
                continue
            kept += 0 if place.before.is_meta else place.before.nbytes
            same = (*place.weight.same(), place.is_parameter)
            if same not in absents:
                absents[same] = _stand_in(place, place.weight, self.device, fetch)
            absent = place.entries[place.key] = absents[same]
            slot_of[place] = Slot(place.entries, place.key, absent, place.weight, place.is_parameter, self._buffers)
        if kept:
            warnings.warn(
                f"{kept} bytes of parameters stay in memory beside the model's, to be there again after detach(): "
                "make the module under torch.device('meta')",
                stacklevel=5,
            )
        for name, each in module.named_modules():
            reads_all = _reads_all(name, each, whole)
            inside = list(each.modules())
            owners = inside if reads_all else [each]
            slots = [slot_of[place] for owner in owners for place in places.of.get(owner, ()) if place in slot_of]
            if not slots and each is not module:
                continue
            unit = Root(self._running, each, slots, relay) if each is module else Unit(self._running, name, each, slots)
            # What is held while others within it stream would take the window from them.
            unit.copies = not reads_all and any(places.of.get(owner) for owner in inside[1:])
            self._units.append(unit)
        return list(slot_of.values())

    def _settle(self, slots: Iterable[Slot]) -> None:
        """Resident weights that are used as they lie, or small, take their places for good; the others come with each
        use."""
        shared: dict[Any, torch.Tensor] = {}
        with torch.inference_mode(False), torch.no_grad():
            for slot in slots:
                weight = slot.weight
                if any(self.session.streams(block) for block in weight.blocks):
                    continue
                slot.resident = weight.is_view or weight.is_small
                if not slot.resident:
                    slot.find(self._running.model_arg)
                    continue
                same = (*weight.same(), slot.is_parameter)
                if same not in shared:
                    shared[same] = slot.keep(self._running.model_arg)
                slot.entries[slot.key] = shared[same]
        for unit in self._units:
            module = unit.module()
            if module is None:
                continue
            if unit.settle():
                _install(module, unit)
            elif module.__dict__.get("_call_impl") is unit:
                del module.__dict__["_call_impl"]

    def _answer_as_root(self, module: torch.nn.Module, places: Places, moves: str) -> None:
        """The root answers whoever wants to move the module: a pipeline says where it computes, which is where it
        is."""
        entries = module.__dict__
        own = entries.get("_apply")
        reference, compute, device = self._module, _shown_dtype(places), self.device

        def apply(convert: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Optional[torch.nn.Module]:
            probe = torch.empty(0, dtype=compute, device=device)
            result = probe if moves == "ignore" else convert(probe)
            if result.device != probe.device or result.dtype != probe.dtype:
                raise UsageError(
                    f"this {type(reference()).__name__} computes on {probe.device} in {probe.dtype} as its model was "
                    f"loaded: it cannot become {result.device}, {result.dtype}",
                    "load the model for another compute_device, or attach(dtype=..., moves='ignore')",
                )
            return reference()

        entries["_distorch2_attachment"] = self
        if "__deepcopy__" not in entries:
            entries["__deepcopy__"] = _refuse_copy
        entries["_apply"] = apply
        self._undo.append(partial(_restore_root, self._module, own))

    # -- while it runs --

    @property
    def suspended(self) -> bool:
        """Whether :meth:`suspend` was called, and :meth:`resume` was not."""
        return self._running.suspended

    def suspend(self) -> None:
        """Gives back what it takes on the compute device beside the model itself: the session is parked, and what a
        parameter holds meanwhile is a stand-in. The module stays attached; a forward is refused until :meth:`resume`.
        """
        if self._running.active:
            raise BusyError(f"a forward of this {self._called} runs, and it cannot be suspended")
        if not self.suspended:
            self.session.park()
            self._running.suspended = True
            self._clear()

    def resume(self) -> None:
        """Makes a suspended module ready again. What is not suspended stays as it is."""
        if self.suspended:
            self.session.unpark()
            self._running.suspended = False
            self.refresh()

    def refresh(self) -> None:
        """Looks again at which blocks of the model stream: to be called when that changed."""
        if self._running.active:
            raise BusyError(f"a forward of this {self._called} runs, and its weights cannot change places")
        self._clear()
        self._settle(_slots(self._units))

    @contextmanager
    def _given_way(self) -> Iterator[None]:
        """For who moves blocks of the model: between forwards, which wait meanwhile, nothing here looks at resident ones. In
        the middle of one all that it looks at stays where it is."""
        with self._running.between() as idle:
            moves = idle and self._attached and not self.suspended
            if moves:
                self._clear()
            try:
                yield
            finally:
                if moves:
                    self._settle(_slots(self._units))

    def _clear(self) -> None:
        """Puts stand-ins in the places of all of the model's weights."""
        for slot in _slots(self._units):
            slot.unsettle()
        self._buffers.clear()

    def statistics(self, span: Span = Span.TOTAL) -> SessionStatistics:
        """What the session did: see :meth:`Session.statistics`."""
        return self.session.statistics(span)

    # -- ending it --

    def detach(self) -> None:
        """Gives the module back the parameters that it had, and closes the session unless it was given. What is
        detached already stays so."""
        self.session._check_process()
        self._running.release_all()
        for unit in self._units:
            module = unit.module()
            if module is not None and module.__dict__.get("_call_impl") is unit:
                del module.__dict__["_call_impl"]
        while self._undo:
            self._undo.pop()()
        self._units.clear()
        self._buffers.clear()
        viewers_of(self._pointer).discard(self)
        if self._owned:
            self.session.close()
        self._attached = False

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    def __repr__(self) -> str:
        return f"<Attachment of {self._called} to {self.model!r}{'' if self._attached else ', detached'}>"


class _Fetch:
    """Reads a weight for code that has no other way to it, and says so once."""

    def __init__(self, model: Model, device: torch.device) -> None:
        self._model = model
        self._device = device
        self._said = False
        self.weights: dict[str, Weight] = {}

    def __call__(self, absent: Absent, func: Any) -> torch.Tensor:
        name = absent._distorch2_name
        if not self._said:
            self._said = True
            warnings.warn(
                f"{name} was used by {func} outside of its module's forward, and is read for that, as others will be: "
                "this is slow; name the module that reads it in attach(whole=...)",
                stacklevel=4,
            )
        with torch.inference_mode(False), torch.no_grad():
            return self.weights[name].read(self._model, self._device)


def _stand_in(place: Place, weight: Weight, device: torch.device, fetch: Optional[_Fetch]) -> Any:
    if fetch is not None:
        fetch.weights[place.name] = weight
    like = torch.empty(weight.shape, device="meta")
    why = "is on no device outside of its module's forward"
    absent = Absent(like, place.name, why, weight.dtype, device, fetch)
    return torch.nn.Parameter(absent, place.before.requires_grad) if place.is_parameter else absent


def _one_of(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{what} is {value!r}", f"it is {' or '.join(map(repr, allowed))}")


def _devices_of(model: Model) -> Any:
    """A snapshot of the devices for a model on a GPU, whose number may not be torch's."""
    on_gpu = model.plan.compute_device.partition(":")[0] in ("cuda", "hip")
    return model._context.devices() if on_gpu else None


def _slots(units: Iterable[Unit]) -> list[Slot]:
    return list(dict.fromkeys(slot for unit in units for slot in unit.all_slots))


def _install(module: torch.nn.Module, unit: Unit) -> None:
    module.__dict__["_call_impl"] = unit


def _refuse_copy(_memo: Any) -> Any:
    raise TypeError("a module that is attached to a model cannot be copied: detach() it first")


def _restore_root(reference: Any, own: Any) -> None:
    module = reference()
    if module is not None:
        module.__dict__.pop("_distorch2_attachment", None)
        module.__dict__.pop("_apply", None)
        if module.__dict__.get("__deepcopy__") is _refuse_copy:
            del module.__dict__["__deepcopy__"]
        if own is not None:
            module.__dict__["_apply"] = own


def _module_gone(attachment: Any, _module: Any) -> None:
    """The module of an attachment that somebody keeps: nothing will run it any more."""
    found = attachment()
    if found is not None and found._attached and found._owned:
        try:
            found.session.close()
        except DistorchError:  # something still looks at a weight; the session goes when that does
            pass


def _shown_dtype(places: Places) -> torch.dtype:
    """The dtype that the module shows: of its first floating-point parameter."""
    for place in places:
        shown = place.entries[place.key]
        if shown.dtype.is_floating_point:
            return shown.dtype  # type: ignore[no-any-return]
    return torch.float32


def _reads_all(name: str, module: torch.nn.Module, whole: tuple[Any, ...]) -> bool:
    """Whether a module reads the weights of the modules in it by itself: torch's attention does."""
    if isinstance(module, torch.nn.MultiheadAttention):
        return True
    return any(
        isinstance(module, each)
        if isinstance(each, type)
        else (each == name if isinstance(each, str) else each is module)
        for each in whole
    )


def attach(
    module: torch.nn.Module,
    model: Model,
    session: Optional[Session] = None,
    dtype: Dtypes = None,
    *,
    prefix: str = "",
    names: NameMap = None,
    sources: Optional[Sources] = None,
    whole: Whole = (),
    own: Iterable[str] = (),
    missing: Missing = None,
    stray: str = "error",
    relay: bool = False,
    moves: str = "refuse",
    **session_options: Any,
) -> Attachment:
    """Makes ``module`` run on ``model``: its weights are those of the model, each there while a layer needs it.

    The module's parameters should be on the meta device (make it under ``torch.device("meta")``, or by
    :func:`distorch2.torch.trace`): what they hold otherwise stays in memory beside the model, and a warning says so.
    Its forward is refused with gradients enabled, and runs in one thread at a time.

    ``session``: an open session of the model; without one, one is opened with ``session_options`` (as of
    :class:`Session`: ``window_bytes``, ``host_memory``, ...) and closed by :meth:`Attachment.detach`.

    Which weight is which: ``prefix`` is what the model's names have before the module's; ``names``, a mapping or a
    function, tells a tensor's name (without the prefix) for a parameter's, or None for one that the model does not
    have. Or ``sources``, a mapping from parameters' names to the pieces that they are made of, each (tensor, first
    element, count); a :class:`Record` is one, and tells dtypes and what the loader computed as well.

    ``dtype``: weights are cast to it at each use, into memory that is used again: a ``torch.dtype`` for those of
    floating point, "module" for that of each parameter, or a mapping or function from its name. Without it they are
    used as they are. Small ones that lie on the compute device, up to 16 KiB each, are cast once, and kept.

    ``own``: names, or patterns such as ``"x_embedder.*"``, of parameters that are to be tensors of the module's own on
    the compute device, which may be written to; they begin as the model's. ``missing``: what parameters that the model
    does not have are to be: a mapping or a function from a name to a tensor, or None for none. Such a parameter is
    moved to the compute device if it has values, and else an error that names it when it is used.

    ``whole``: modules (names, classes, or modules) whose forward reads weights of modules within them directly, so that
    all of them are there during it. Of ``torch.nn.MultiheadAttention`` and of tied weights this is known. ``stray``:
    what happens when other code reads a weight: an "error" that names it, or "fetch", which reads it from wherever it
    lies, slowly, with one warning. ``relay``: inputs of the module are taken to the compute device, and its outputs to
    where its first input was. ``moves``: what ``module.to()`` to another device or dtype does: "refuse", or "ignore".

    Raises :class:`UsageError` when shapes differ, nothing fits, or torch cannot compute on the model's compute device.
    """
    return Attachment(
        module,
        model,
        session,
        dtype=dtype,
        prefix=prefix,
        names=names,
        sources=sources,
        whole=whole,
        own=own,
        missing=missing,
        stray=stray,
        relay=relay,
        moves=moves,
        **session_options,
    )
