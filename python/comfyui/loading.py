# SPDX-License-Identifier: BSD-3-Clause
"""A control network by ComfyUI's own loader, on tensors without bytes; its weights are then spread.

What cannot be spread is loaded as ComfyUI does it, with one warning that says why.
"""

from __future__ import annotations

import logging
import os
import weakref
from typing import Any, Optional

import comfy.controlnet
import comfy.model_management as management
import comfy.utils

from . import machine
from .inputs import one_sentence
from .network import Network, make_room
from .patcher import Patcher
from .t2i import spread_adapter

_WRITTEN_BY_COMFY = {"ControlNetSD35": ["x_embedder.*", "orig_y_embedder.*"]}
"""Parameters that a control copies from the base model before it samples."""


class CannotSpread(Exception):
    """This file is loaded as ComfyUI does it."""


def load_control(
    path: str, request: dict[str, Any], model: Any = None, node: Any = None
) -> tuple[Any, Optional[Network], str]:
    """A control of ComfyUI's for a file, its network if it is spread, and otherwise why it is not. ``node`` loads one
    network at a time: what it loaded before sleeps from now on."""
    distorch2 = machine.need()
    try:
        try:
            traced = _traced(path, model)
        except distorch2.DistorchError as problem:
            raise CannotSpread(one_sentence(problem)) from problem
        control, network = _spread(traced, request, node)
        return control, network, ""
    except (CannotSpread, distorch2.FailedError) as problem:
        why = _not_spread(path, problem)
        logging.warning("distorch2: %s", why)
        return _stock(path, model, problem), None, why


def _stock(path: str, model: Any, problem: Exception) -> Any:
    try:
        return comfy.controlnet.load_controlnet(path, model)
    except management.InterruptProcessingException:
        raise
    except Exception as refusal:  # of a broken file ours says more, and in one sentence
        if isinstance(problem.__cause__, machine.need().DistorchError):
            name, said = os.path.basename(path), one_sentence(problem)
            raise RuntimeError(said if name in said else f"{name}: {said}, and ComfyUI cannot load it") from refusal
        raise


def _not_spread(path: str, problem: Exception) -> str:
    return f"{os.path.basename(path)} is not spread, and loaded as ComfyUI does it: {one_sentence(problem)}"


_of_node: weakref.WeakValueDictionary[str, Network] = weakref.WeakValueDictionary()
"""The network that each node of a workflow has loaded."""


def _spread(traced: tuple[Any, Any, Any, Any], request: dict[str, Any], node: Any) -> tuple[Any, Network]:
    control, module, record, stored = traced
    own = _WRITTEN_BY_COMFY.get(type(control).__name__, [])
    network = Network(module, record, stored, request, own)
    before = _of_node.get(str(node))
    if before is not None:
        before.sleep()
    if request["eject_models"]:
        make_room(network.device, network)
    network.wake()
    control = _with_patcher(control, network)
    management.load_models_gpu([control.patcher])  # from now on ComfyUI can unload it, before it is sampled as well
    if node is not None:
        _of_node[str(node)] = network
    return control, network


def plan_of(path: str, request: dict[str, Any]) -> tuple[Any, list[int], str]:
    """The plan for a load as it would be now, the sizes of the blocks, and why it would not be spread. Nothing is
    loaded."""
    from distorch2 import File

    why = ""
    try:
        stored = _traced(path, None)[3]
    except (CannotSpread, machine.need().DistorchError) as problem:
        stored, why = File(path), _not_spread(path, problem)
        request = {**request, "virtual_vram_gb": 0.0, "expert_mode_allocations": None}
    with stored:
        plan = machine.context().plan(stored, available=machine.available, **request)
        return plan, [block.bytes for block in stored.blocks], why


def _traced(path: str, model: Any) -> tuple[Any, Any, Any, Any]:
    """ComfyUI's control for a file, its module without bytes, where its weights come from, and the file as it is stored
    for it."""
    from distorch2 import File
    from distorch2.torch import Ledger

    with File(path, all_tensors=True) as file:
        _check([info.name for info in file.tensors])
        with Ledger(file) as ledger:
            control = _control(dict(ledger.tensors), model, _options(path))
        module = _module_of(control, os.path.basename(path))
        record = ledger.record(module)
        return control, module, record, record.stored(file)


def _control(tensors: dict[str, Any], model: Any, options: dict[str, Any]) -> Any:
    try:
        return comfy.controlnet.load_controlnet_state_dict(tensors, model=model, model_options=options)
    except Exception as problem:  # whatever a loader does that cannot be done without bytes, it can with them
        said = one_sentence(problem) or type(problem).__name__
        raise CannotSpread(f"ComfyUI's loader does not work on tensors without bytes ({said})") from problem


def _check(names: list[str]) -> None:
    """What is known not to be a network of its own, by names."""
    if any(name.rpartition(".")[2] == "lora_controlnet" for name in names):
        raise CannotSpread("a Control-LoRA is put together anew from the base model for each sampling")
    if "difference" in names:
        raise CannotSpread("it holds differences, to which the base model's weights are added")
    if any("comfy_quant" in name or name.endswith((".scale_weight", "scaled_fp8")) for name in names):
        raise CannotSpread("it is quantised in ComfyUI's own way")


def _options(path: str) -> dict[str, Any]:
    """ComfyUI's rule for networks that work on the average of what they see."""
    stem = os.path.splitext(path)[0]
    return {"global_average_pooling": True} if stem.endswith(("_shuffle", "_shuffle_fp16")) else {}


def _module_of(control: Any, name: str) -> Any:
    if control is None:
        raise RuntimeError(f"{name} is no ControlNet and no T2I adapter that ComfyUI knows")
    module = getattr(control, "control_model", None)
    if module is None:
        module = getattr(control, "t2i_model", None)
    if module is None:
        raise CannotSpread(f"a {type(control).__name__} has no network of its own")
    return module


def _with_patcher(control: Any, network: Network) -> Any:
    patcher = Patcher(network.module, network.device, management.unet_offload_device())
    if hasattr(control, "control_model_wrapped"):
        control.control_model_wrapped = patcher
    else:
        control = spread_adapter(control, patcher)
    # By these two ComfyUI's cache of outputs tells how much of the host's memory an output has.
    control.patcher = patcher
    control._comfy_cache_tensors = network.host_tensors
    return control
