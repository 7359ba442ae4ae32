# SPDX-License-Identifier: BSD-3-Clause
"""The one context of this process, and the names of devices for widgets."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import struct
import sys
import tempfile
import threading
from typing import Any, Optional

_WANTED = (0, 1)
"""Of the package's version, what these nodes work with."""

_HERE = os.path.dirname(os.path.abspath(__file__))
_lock = threading.RLock()
_context: Any = None
_devices: Any = None
_smallest: Any = None


def missing() -> Optional[str]:
    """Why the package cannot be used, in a sentence; None where it can."""
    try:
        found = importlib.import_module("distorch2")
    except Exception as problem:  # not there, or in pieces
        return (
            f"the Python package distorch2 cannot be used ({problem}): install it into ComfyUI's environment, with "
            "pip install distorch2"
        )
    if not hasattr(found, "Context") and os.path.dirname(getattr(found, "__file__", None) or "") == _HERE:
        return f"{_HERE} is found where the Python package distorch2 is looked for: give that folder another name"
    version = str(getattr(found, "__version__", "0"))
    numbers = tuple(int(each) for each in version.split(".")[:2] if each.isdigit())
    if numbers != _WANTED:
        wanted = ".".join(map(str, _WANTED))
        return (
            f"the Python package distorch2 is version {version}, and these nodes need {wanted}: install both from one "
            "release"
        )
    return None


def not_there() -> Optional[str]:
    """The same as :func:`missing` where the package is not there at all, told without importing it."""
    try:
        return None if importlib.util.find_spec("distorch2") is not None else missing()
    except (ImportError, ValueError):
        return missing()


def need() -> Any:
    """The package, imported when it is first used; or an error that says how to get it."""
    why = missing()
    if why is not None:
        raise RuntimeError(why)
    return importlib.import_module("distorch2")


def context() -> Any:
    """The context, opened when it is first needed."""
    global _context
    with _lock:
        if _context is None:
            _context = need().Context(log=logging.getLogger("distorch2"))
        return _context


def devices() -> Any:
    """A snapshot of the devices, taken once: widgets ask for it all the time."""
    global _devices
    with _lock:
        if _devices is None:
            _devices = context().devices(unusable=True)
        return _devices


def compute_names() -> list[str]:
    """The devices on which this torch can compute. Never raises: a widget's list is asked for when nodes are listed."""
    try:
        from distorch2.torch import torch_device

        names = []
        for device in devices():
            try:
                torch_device(device.name, devices())
            except need().UsageError:
                continue
            if not device.name.startswith("cpu:"):
                names.append(device.name)
        return sorted(names, key=lambda name: (name == "cpu", name)) or ["cpu"]
    except Exception as problem:
        _say_once("devices cannot be listed", problem)
        return ["cpu"]


def donor_names() -> list[str]:
    """All devices that can hold tensors. Never raises."""
    try:
        return sorted((device.name for device in devices()), key=lambda name: (name != "cpu", name))
    except Exception as problem:
        _say_once("devices cannot be listed", problem)
        return ["cpu"]


_said: set[str] = set()


def _say_once(what: str, problem: Exception) -> None:
    """Pages ask for the lists of all nodes, all the time."""
    line = f"{what}: {problem}"
    if line not in _said:
        _said.add(line)
        logging.warning("distorch2: %s", line)


def unusable() -> list[str]:
    """GPUs that are here and cannot be used, each with the reason. Never raises."""
    try:
        return [f"{each.model or each.pci or each.driver}, {each.reason}" for each in devices().unusable]
    except Exception:
        return []


def wrong_with(allocations: str) -> Optional[str]:
    """What is wrong with an expert string, whatever the model: a plan for the smallest model says it."""
    distorch2 = need()
    if not allocations.strip():
        return None
    try:
        distorch2.make_plan(devices(), _smallest_model(), compute_device="cpu", expert_mode_allocations=allocations)
    except (distorch2.UsageError, distorch2.NotFoundError) as problem:
        return str(problem.short)
    except distorch2.DistorchError:  # that it does not fit now is another matter
        return None
    return None


def _smallest_model() -> Any:
    """A file of four bytes, which stays open when it has no name any more."""
    global _smallest
    with _lock:
        if _smallest is None:
            header = b'{"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
            number, path = tempfile.mkstemp(suffix=".safetensors")
            try:
                with os.fdopen(number, "wb") as file:
                    file.write(struct.pack("<Q", len(header)) + header + bytes(4))
                _smallest = need().File(path)
            finally:
                os.unlink(path)
        return _smallest


def default_compute() -> str:
    """The name of the device that ComfyUI computes on."""
    import comfy.model_management as management

    try:
        from distorch2.torch import device_name

        return device_name(management.get_torch_device(), devices())
    except Exception:
        return compute_names()[0]


def torch_device_of(name: str) -> Any:
    """A device of ours in torch's terms; None where torch has it not."""
    from distorch2.torch import torch_device

    try:
        return torch_device(name, devices())
    except need().DistorchError:
        return None


def available(name: str, _free: Optional[int]) -> Optional[int]:
    """How many bytes of a device are free as ComfyUI knows it: what its torch has cached is, and pages that it gives up
    as soon as anybody allocates there. None where it knows no better than the driver."""
    import comfy.model_management as management

    device = torch_device_of(name)
    if device is None or device.type == "cpu":
        return None
    return int(management.get_free_memory(device)) + _pages_on_demand(device)


def _pages_on_demand(device: Any) -> int:
    if not getattr(sys.modules.get("comfy.memory_management"), "aimdo_enabled", False):
        return 0
    import comfy_aimdo.model_vbar as pages

    return int(pages.vbars_analyze(device.index if device.type == "cuda" else None))
