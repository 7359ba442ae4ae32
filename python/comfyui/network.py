# SPDX-License-Identifier: BSD-3-Clause
"""A spread network over time: awake, when its weights lie where the plan says; asleep, when nothing of it lies
anywhere."""

from __future__ import annotations

import logging
import math
import threading
import weakref
from functools import partial
from typing import Any, Optional

import comfy.model_management as management
import comfy.utils

from . import machine
from .inputs import one_sentence
from .sleep import Sleep

_awake: weakref.WeakSet[Network] = weakref.WeakSet()
_leaving: list[Any] = []
"""Models that somebody looked at when they were to go."""
_models: set[Any] = set()
"""All that are loaded: one that was in a cycle with its network alone would be closed, loaded, before that unloads it."""


class Network:
    """What a module of ComfyUI's runs on. The module holds it, and it does not hold the module."""

    def __init__(self, module: Any, record: Any, file: Any, request: dict[str, Any], own: list[str]) -> None:
        from distorch2.torch import torch_device

        self._module = weakref.ref(module)
        self._record = record
        self._file = file
        self._request = request
        self._own = own
        self._missing = {name: _zeros(record.shapes[name]) for name in record.missing}
        self._lock = threading.RLock()
        self._model: Any = None
        self._attachment: Any = None
        self._away = 0  # bytes of its share that made room
        self.device = torch_device(request["compute_device"], machine.devices())
        """Where it computes, in torch's terms."""
        self.plan: Any = None
        """The plan of the last load."""
        module.__dict__["_distorch2_network"] = self
        module.__dict__["__deepcopy__"] = _refuse_copy
        self._sleep = Sleep(self, record)
        self._sleep.begin()

    @property
    def module(self) -> Any:
        return self._module()

    @property
    def awake(self) -> bool:
        return self._attachment is not None

    # -- what it costs --

    @property
    def cost(self) -> int:
        """Bytes on the device that computes: its share and the window."""
        if self.plan is None:
            return 0
        shares = [share.cost_bytes for share in self.plan.shares if share.device == self.plan.compute_device]
        return int(sum(shares) if shares else self.plan.window_bytes)

    @property
    def held(self) -> int:
        """Of that, what it has now."""
        if not self.awake:
            return 0
        window = self.plan.window_bytes if self._attachment.suspended else 0
        return max(0, self.cost - window - self._away)

    @property
    def host_bytes(self) -> int:
        """What it has in the host's memory now."""
        if not self.awake:
            return 0
        return sum(share.cost_bytes for share in self.plan.shares if share.device.startswith("cpu"))

    def host_tensors(self) -> list[Any]:
        """Of the size of that, and without bytes of their own: ComfyUI's cache of outputs adds up tensors."""
        import torch

        return [torch.empty(1, dtype=torch.uint8).expand(self.host_bytes)]

    # -- coming and going --

    def wake(self, room: float = math.inf) -> None:
        """Loads it if it is asleep, and takes back what it gave, as far as there is room. ``room``: how many bytes more
        it may take on the device that computes, as ComfyUI says before a sampling; what is above that streams."""
        with self._lock:
            before = self.held
            if not self.awake:
                self._load(fit=room != math.inf)
            else:
                if self._away and self._away <= room:
                    self._restore()
                self._attachment.resume()
            above = self.held - before - room
            if above > 0:
                self._away += self._evict(math.ceil(above))

    def _restore(self) -> None:
        distorch2 = machine.need()
        here = self._model.held(self.plan.compute_device)
        try:
            self._model.restore()
            self._away = 0
        except (distorch2.NoFitError, distorch2.BusyError) as refusal:  # what is not back streams
            self._away = max(0, self._away - (self._model.held(self.plan.compute_device) - here))
            logging.info("distorch2: %s", refusal)

    def _load(self, fit: bool = False) -> None:
        """``fit``: a sampling waits for it, which is to run, if with more that streams."""
        from distorch2.torch import attach

        _let_go()
        management.soft_empty_cache()
        bar: list[Any] = []

        def progress(now: Any) -> None:
            management.throw_exception_if_processing_interrupted()
            if not bar:
                bar.append(comfy.utils.ProgressBar(max(now.total_bytes, 1)))
            bar[0].update_absolute(now.done_bytes, max(now.total_bytes, 1))

        # Who makes room is decided here and by ComfyUI, not by a load that is one of several for a sampling.
        request = {**self._request, "eject_models": False, "fit": fit, "available": machine.available}
        release = partial(_release, [each for each in management.current_loaded_models if fit and each.currently_used])
        name = f"{self._file.path}#{id(self)}"
        model = machine.context().load(self._file, progress=progress, release=release, name=name, **request)
        _models.add(model)
        self._sleep.end()
        try:
            self._attachment = attach(
                self.module,
                model,
                sources=self._record,
                own=self._own,
                missing=self._missing,
                stray="fetch",
                relay=True,
                moves="ignore",
            )
        except BaseException as problem:
            self._sleep.begin()
            _let_go(model)
            if isinstance(problem, (TypeError, machine.need().UsageError)):  # nothing that anybody asked for is wrong
                raise machine.need().FailedError(one_sentence(problem)) from problem
            raise
        self._model, self.plan = model, model.plan
        _awake.add(self)
        for warning in self.plan.warnings:
            logging.warning("distorch2: %s", warning)

    def give(self, wanted: float) -> int:
        """Gives back what the device that computes has: the window, and, if more is wanted, blocks, which stream then.
        Tells how many bytes that was."""
        with self._lock:
            if not self.awake:
                return 0
            before = self.held
            if not self._attachment.suspended:
                self._attachment.suspend()
            more = int(min(wanted, self.cost)) - (before - self.held)
            if more > 0:
                self._away += self._evict(more)
            return before - self.held

    def _evict(self, wanted: int) -> int:
        try:
            return int(self._model.evict(wanted))
        except machine.need().BusyError as refusal:  # somebody looks at its weights
            logging.info("distorch2: %s", refusal)
            return 0

    def sleep(self) -> None:
        """Gives everything back. It is loaded again when it is needed again."""
        with self._lock:
            if self.awake:
                attachment, model = self._attachment, self._model
                self._attachment = self._model = None
                self._away = 0
                _awake.discard(self)
                attachment.detach()
                self._sleep.begin()
                _let_go(model)

    def __del__(self) -> None:
        try:
            self.sleep()
        except Exception as problem:  # at the interpreter's end
            logging.info("distorch2: %s", problem)


def _release(kept: list[Any], name: str, count: int) -> int:
    """ComfyUI's own models make room, but for those that are kept."""
    device = machine.torch_device_of(name)
    if device is None or device.type == "cpu":  # not one of ComfyUI's
        return 0
    before = management.get_free_memory(device)
    wanted = before + count + management.minimum_inference_memory()
    management.free_memory(wanted, device, keep_loaded=kept)
    management.soft_empty_cache()
    return max(0, int(management.get_free_memory(device) - before))


def _let_go(model: Any = None) -> None:
    """Unloads a model, and those that could not go before: as long as somebody has one of its weights it stays. What it
    works on is in no list meanwhile: to unload may end other networks, and they come here."""
    if model is not None:
        _leaving.append(model)
    kept = []
    try:
        while _leaving:
            each = _leaving.pop()
            try:
                each.unload()
                each.close()
                _models.discard(each)
            except machine.need().BusyError as refusal:
                logging.info("distorch2: %s", one_sentence(refusal))
                kept.append(each)
    finally:
        _leaving.extend(kept)


def _zeros(shape: tuple[int, ...]) -> Any:
    """For a weight that the file lacks. They have one byte or so, whatever the shape."""
    import torch

    return torch.zeros(()).expand(shape)


def _refuse_copy(_memo: Any) -> Any:
    raise TypeError(
        "a network that distorch2 has spread cannot be copied for several GPUs: "
        "load it with ComfyUI's own loader for that"
    )


def make_room(device: Any, but: Optional[Network] = None) -> None:
    """Unloads what has bytes on a device: our other networks, and ComfyUI's models."""
    for network in list(_awake):
        if network is not but and network.device == device:
            network.sleep()
    _let_go()
    if device.type != "cpu":
        management.free_memory(1e30, device)
        management.soft_empty_cache()
