# SPDX-License-Identifier: BSD-3-Clause
"""The nodes: what they do, and what they say."""

from __future__ import annotations

import os
import random
from typing import Any

from . import machine
from .inputs import CATEGORY, Inputs, one_sentence, request_of, told


def known_nodes() -> dict[str, Any]:
    """Nodes that ComfyUI has registered so far."""
    try:
        import nodes as registered

        return registered.NODE_CLASS_MAPPINGS  # type: ignore[no-any-return]
    except ImportError:
        return {}


def _say(text: str, unique_id: Any) -> None:
    """Writes under a node, where there is a server with somebody at it."""
    try:
        from server import PromptServer

        PromptServer.instance.send_progress_text(text, unique_id)
    except Exception:  # nobody is there, or this ComfyUI does not know how
        return


def _path_of(control_net_name: str) -> str:
    import folder_paths

    return folder_paths.get_full_path_or_raise("controlnet", control_net_name)  # type: ignore[no-any-return]


class ControlNetLoader(Inputs):
    """Loads a ControlNet with its weights spread over devices."""

    TITLE = "Load ControlNet (DisTorch2)"
    DESCRIPTION = "Loads a ControlNet whose weights lie on several devices. It computes on one, as the stock one does."
    SEARCH_ALIASES = ["controlnet multigpu", "distorch", "virtual vram"]
    RETURN_TYPES = ("CONTROL_NET",)
    OUTPUT_TOOLTIPS = ("The ControlNet, for any node that applies one.",)
    FUNCTION = "load_controlnet"

    @classmethod
    def IS_CHANGED(cls, control_net_name: Any = None, **_: Any) -> str:
        """Differs when another file has its name now: what sleeps is loaded again, and not from another file."""
        try:
            found = os.stat(_path_of(control_net_name))
        except Exception:  # it is gone, or its name is another node's output: the load says so
            return ""
        return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"

    def load_controlnet(
        self, control_net_name: str, unique_id: Any = None, model: Any = None, **inputs: Any
    ) -> dict[str, Any]:
        distorch2 = machine.need()
        from .loading import load_control

        try:
            control, network, why = load_control(_path_of(control_net_name), request_of(inputs), model, unique_id)
        except distorch2.DistorchError as problem:
            raise RuntimeError(one_sentence(problem)) from problem
        if control is None:
            raise RuntimeError(f"{control_net_name} is no ControlNet that ComfyUI knows")
        text = why if network is None else told(network.plan)
        _say(text, unique_id)
        return {"ui": {"text": [text]}, "result": (control,)}


class DiffControlNetLoader(ControlNetLoader):
    """The same for files that may hold differences to the base model."""

    TITLE = "Load ControlNet, diff (DisTorch2)"
    DESCRIPTION = "Loads a ControlNet as the other node does. Where the file holds differences to a base model, these "
    DESCRIPTION += "are added to the model's weights, as ComfyUI does it, and nothing is spread."
    BEFORE = {"model": ("MODEL", {"tooltip": "The base model, which is read where the file holds differences to it."})}


class Plan(Inputs):
    """Says what a load would do, and loads nothing."""

    TITLE = "DisTorch2 Plan"
    DESCRIPTION = "What a load would do: which device gets how much, and which blocks. Nothing is loaded."
    SEARCH_ALIASES = ["virtual vram plan", "distorch plan"]
    RETURN_TYPES = ("STRING", "IMAGE")
    RETURN_NAMES = ("text", "picture")
    OUTPUT_TOOLTIPS = ("Which device gets how much, and warnings.", "The blocks in the order in which they run.")
    FUNCTION = "plan"
    OUTPUT_NODE = True

    @classmethod
    def IS_CHANGED(cls, **_: Any) -> float:
        return float("nan")  # how much memory is free is asked each time

    def plan(self, control_net_name: str, unique_id: Any = None, **inputs: Any) -> dict[str, Any]:
        distorch2 = machine.need()
        from .loading import plan_of
        from .picture import drawn, tensor_of

        try:
            plan, sizes, why = plan_of(_path_of(control_net_name), request_of(inputs))
        except distorch2.DistorchError as problem:
            raise RuntimeError(one_sentence(problem)) from problem
        text = f"warning: {why}\n{told(plan)}" if why else told(plan)
        picture = drawn(plan, sizes, control_net_name)
        _say(text, unique_id)
        return {"ui": {"text": [text], "images": [_shown(picture)]}, "result": (text, tensor_of(picture))}


def _shown(picture: Any) -> dict[str, str]:
    """Saves a picture where ComfyUI's page finds it, until ComfyUI ends."""
    import folder_paths

    folder = folder_paths.get_temp_directory()
    os.makedirs(folder, exist_ok=True)
    name = f"distorch2-plan-{random.SystemRandom().randrange(1 << 48):012x}.png"
    picture.save(os.path.join(folder, name))
    return {"filename": name, "subfolder": "", "type": "temp"}


class Devices:
    """Says which devices are there, and what is wrong with those that are not."""

    TITLE = "DisTorch2 Devices"
    DESCRIPTION = "The devices that can hold tensors, and GPUs that cannot be used, with the reason."
    SEARCH_ALIASES = ["gpu list", "distorch devices"]
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("list",)
    FUNCTION = "devices"
    CATEGORY = CATEGORY
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}, "hidden": {"unique_id": "UNIQUE_ID"}}

    @classmethod
    def IS_CHANGED(cls, **_: Any) -> float:
        return float("nan")

    def devices(self, unique_id: Any = None) -> dict[str, Any]:
        distorch2 = machine.need()
        lines = []
        for device in machine.context().devices(unusable=True):
            size = "" if device.total_bytes is None else f", {distorch2.format_size(device.total_bytes)}"
            free = "" if device.free_bytes is None else f", {distorch2.format_size(device.free_bytes)} free"
            lines.append(f"{device.name}: {device.model or device.kind}{size}{free}")
        lines += [f"cannot be used: {each}" for each in machine.unusable()]
        text = "\n".join(lines)
        _say(text, unique_id)
        return {"ui": {"text": [text]}, "result": (text,)}
