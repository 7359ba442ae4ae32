# SPDX-License-Identifier: BSD-3-Clause
"""The nodes: what their inputs are, and what they say."""

from __future__ import annotations

from typing import Any, Union

from . import machine

CATEGORY = "multigpu/distorch_2"


def known_nodes() -> dict[str, Any]:
    """Nodes that ComfyUI has registered so far."""
    try:
        import nodes as registered

        return registered.NODE_CLASS_MAPPINGS  # type: ignore[no-any-return]
    except ImportError:
        return {}


def _names() -> list[str]:
    import folder_paths

    return folder_paths.get_filename_list("controlnet")  # type: ignore[no-any-return]


def _inputs() -> dict[str, Any]:
    """The six inputs of a loader."""
    computes, donors = machine.compute_names(), machine.donor_names()
    default = machine.default_compute()
    return {
        "control_net_name": (_names(), {"tooltip": "The file, from the folders that ComfyUI knows."}),
        "compute_device": (
            computes,
            {
                "default": default if default in computes else computes[0],
                "tooltip": "Where the network computes: the devices of this torch.",
            },
        ),
        "virtual_vram_gb": (
            "FLOAT",
            {
                "default": 4.0,
                "min": 0.0,
                "max": 128.0,
                "step": 0.1,
                "tooltip": "GiB of the model that are kept off the compute device.",
            },
        ),
        "donor_device": (
            donors,
            {"default": "cpu", "tooltip": "Who lends that memory. OpenCL devices and parts of the host can, too."},
        ),
        "expert_mode_allocations": (
            "STRING",
            {
                "default": "",
                "multiline": False,
                "tooltip": "Exact shares instead, such as cuda:0,30%;cuda:1,4gb;cpu,*",
            },
        ),
        "eject_models": (
            "BOOLEAN",
            {"default": True, "tooltip": "Unload what has bytes on the compute device first."},
        ),
    }


def _check_allocations(expert_mode_allocations: str) -> Union[bool, str]:
    """The grammar, and the names in it; whether it fits is seen when it is loaded."""
    why = machine.missing()
    if why is not None:
        return why
    text = (expert_mode_allocations or "").strip()
    for part in filter(None, (each.strip() for each in text.split(";"))):
        name = part.split(",")[0].strip()
        try:
            machine.devices().index_of(name)
        except machine.need().DistorchError as problem:
            return one_sentence(problem)
    return True


def one_sentence(problem: Exception) -> str:
    """An error for a place where there is room for one."""
    short = getattr(problem, "short", None)
    return str(short if short is not None else problem).replace("\n", " ")


def _request(**inputs: Any) -> dict[str, Any]:
    inputs["expert_mode_allocations"] = (inputs["expert_mode_allocations"] or "").strip() or None
    return inputs


def _say(text: str, unique_id: Any) -> None:
    """Writes under a node, where there is a server with somebody at it."""
    try:
        from server import PromptServer

        PromptServer.instance.send_progress_text(text, unique_id)
    except Exception:  # nobody is there, or this ComfyUI does not know how
        return


class ControlNetLoader:
    """Loads a ControlNet with its weights spread over devices."""

    TITLE = "Load ControlNet (DisTorch2)"
    DESCRIPTION = "Loads a ControlNet whose weights lie on several devices. It computes on one, as the stock one does."
    SEARCH_ALIASES = ["controlnet multigpu", "distorch", "virtual vram"]
    RETURN_TYPES = ("CONTROL_NET",)
    FUNCTION = "load_controlnet"
    CATEGORY = CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": _inputs(), "hidden": {"unique_id": "UNIQUE_ID"}}

    @classmethod
    def VALIDATE_INPUTS(cls, expert_mode_allocations: str = "") -> Union[bool, str]:
        return _check_allocations(expert_mode_allocations)

    def load_controlnet(
        self, control_net_name: str, unique_id: Any = None, model: Any = None, **inputs: Any
    ) -> dict[str, Any]:
        distorch2 = machine.need()
        import folder_paths

        from .loading import load_control

        path = folder_paths.get_full_path_or_raise("controlnet", control_net_name)
        try:
            control, network, why = load_control(path, _request(**inputs), model)
        except distorch2.DistorchError as problem:
            raise RuntimeError(one_sentence(problem)) from problem
        if control is None:
            raise RuntimeError(f"{control_net_name} is no ControlNet that ComfyUI knows")
        text = why if network is None else network.plan.table()
        _say(text, unique_id)
        return {"ui": {"text": [text]}, "result": (control,)}


class DiffControlNetLoader(ControlNetLoader):
    """The same for files that may hold differences to the base model."""

    TITLE = "Load ControlNet, diff (DisTorch2)"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"model": ("MODEL",), **_inputs()}, "hidden": {"unique_id": "UNIQUE_ID"}}


class Plan:
    """Says what a load would do, and loads nothing."""

    DESCRIPTION = "What a load would do: which device gets how much. Nothing is loaded."
    RETURN_TYPES = ("STRING",)
    FUNCTION = "plan"
    CATEGORY = CATEGORY
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": _inputs(), "hidden": {"unique_id": "UNIQUE_ID"}}

    @classmethod
    def VALIDATE_INPUTS(cls, expert_mode_allocations: str = "") -> Union[bool, str]:
        return _check_allocations(expert_mode_allocations)

    def plan(self, control_net_name: str, unique_id: Any = None, **inputs: Any) -> dict[str, Any]:
        distorch2 = machine.need()
        import folder_paths

        from .loading import plan_of

        path = folder_paths.get_full_path_or_raise("controlnet", control_net_name)
        try:
            text = plan_of(path, _request(**inputs)).table()
        except distorch2.DistorchError as problem:
            raise RuntimeError(one_sentence(problem)) from problem
        _say(text, unique_id)
        return {"ui": {"text": [text]}, "result": (text,)}


class Devices:
    """Says which devices are there, and what is wrong with those that are not."""

    DESCRIPTION = "The devices that can hold tensors, and GPUs that cannot be used, with the reason."
    RETURN_TYPES = ("STRING",)
    FUNCTION = "devices"
    CATEGORY = CATEGORY
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}, "hidden": {"unique_id": "UNIQUE_ID"}}

    def devices(self, unique_id: Any = None) -> dict[str, Any]:
        distorch2 = machine.need()
        lines = []
        for device in machine.devices():
            size = "" if device.total_bytes is None else f", {distorch2.format_size(device.total_bytes)}"
            lines.append(f"{device.name}: {device.model or device.kind}{size}")
        for each in machine.devices().unusable:
            lines.append(f"{each.model or each.pci}: cannot be used, {each.reason}. {each.help or ''}".strip())
        text = "\n".join(lines)
        _say(text, unique_id)
        return {"ui": {"text": [text]}, "result": (text,)}
