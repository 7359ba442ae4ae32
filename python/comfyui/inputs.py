# SPDX-License-Identifier: BSD-3-Clause
"""The inputs that all nodes which load or plan have, and what is checked of them before anything runs."""

from __future__ import annotations

from typing import Any, Union

from . import machine

CATEGORY = "multigpu/distorch_2"
DEFAULTS = {"virtual_vram_gb": 4.0, "donor_device": "cpu", "expert_mode_allocations": "", "eject_models": True}
"""Of inputs that are the same on any machine."""


def _names() -> list[str]:
    import folder_paths

    return folder_paths.get_filename_list("controlnet")  # type: ignore[no-any-return]


def _compute_device() -> tuple[Any, ...]:
    names, default = machine.compute_names(), machine.default_compute()
    tooltip = "Where the network computes. These are the devices of ComfyUI's torch."
    unusable = machine.unusable()
    if unusable:
        tooltip += " Not there: " + "; ".join(unusable)
    return names, {"default": default if default in names else names[0], "tooltip": tooltip}


def loader_inputs() -> dict[str, Any]:
    """All inputs of a loader but the file: those of the published node, with its types, defaults and ranges, and which a
    workflow may leave out as there."""
    gib = {"default": DEFAULTS["virtual_vram_gb"], "min": 0.0, "max": 128.0, "step": 0.1}
    return {
        "compute_device": _compute_device(),
        "virtual_vram_gb": (
            "FLOAT",
            {**gib, "tooltip": "GiB of the model that are kept off the compute device. 0 keeps all of it there."},
        ),
        "donor_device": (
            machine.donor_names(),
            {
                "default": DEFAULTS["donor_device"],
                "tooltip": "Who lends that memory. cpu is the fastest, unless two GPUs of one maker reach each other.",
            },
        ),
        "expert_mode_allocations": (
            "STRING",
            {
                "default": DEFAULTS["expert_mode_allocations"],
                "multiline": False,
                "tooltip": "Exact shares, which take the place of the two inputs above: cuda:0,30%;cuda:1,4gb;cpu,*",
            },
        ),
        "eject_models": (
            "BOOLEAN",
            {
                "default": DEFAULTS["eject_models"],
                "tooltip": "Unload what has bytes on the compute device when this node loads.",
            },
        ),
    }


class Inputs:
    """What loaders and plans have in common."""

    CATEGORY = CATEGORY
    BEFORE: dict[str, Any] = {}
    """Inputs before the six."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        file = (_names(), {"tooltip": "The file, from the folders that ComfyUI knows."})
        required = {**cls.BEFORE, "control_net_name": file}
        return {"required": required, "optional": loader_inputs(), "hidden": {"unique_id": "UNIQUE_ID"}}

    @classmethod
    def VALIDATE_INPUTS(cls, expert_mode_allocations: str = "") -> Union[bool, str]:
        """The grammar of an expert string and the devices in it; whether it fits is seen when it is loaded. ComfyUI
        checks all inputs that are not named here, against their lists and ranges."""
        why = machine.missing()
        return machine.wrong_with(expert_mode_allocations or "") or True if why is None else why


def request_of(inputs: dict[str, Any]) -> dict[str, Any]:
    """The request to the library that inputs are, with defaults for those that a workflow leaves out."""
    found = {"compute_device": inputs.get("compute_device") or machine.default_compute(), **DEFAULTS, **inputs}
    return {**found, "expert_mode_allocations": (found["expert_mode_allocations"] or "").strip() or None}


def one_sentence(problem: Exception) -> str:
    """An error for a place where there is room for one."""
    short = getattr(problem, "short", None)
    text = str(short if short is not None else problem).replace("\n", " ")
    suggestion = getattr(problem, "suggestion", "")
    return f"{text}. {suggestion}" if suggestion else text


def told(plan: Any) -> str:
    """A plan in lines for people: where they are shown columns do not stay columns."""
    from distorch2 import format_size

    lines = []
    for share in plan.shares:
        line = f"{share.device}: {format_size(share.bytes)} in {len(share.blocks)} blocks"
        costs = "" if share.cost_bytes == share.bytes else f", takes {format_size(share.cost_bytes)}"
        lines.append(line + costs)
    if plan.window_bytes:
        lines.append(f"computes on {plan.compute_device}, through a window of {format_size(plan.window_bytes)}")
    else:
        lines.append(f"computes on {plan.compute_device}")
    return "\n".join([*lines, *(f"warning: {warning}" for warning in plan.warnings)])
