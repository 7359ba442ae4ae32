# SPDX-License-Identifier: BSD-3-Clause
"""Names of devices, here and in torch. Both count what CUDA_VISIBLE_DEVICES and HIP_VISIBLE_DEVICES leave, each as they
were when it first looked, and a program may have changed them in between: so GPUs are told by what they are."""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import Any, Optional, Union

import torch

from ..devices import Device
from ..errors import NotFoundError, UsageError


def torch_device(name: str, devices: Optional[Iterable[Device]] = None) -> torch.device:
    """torch's name for a device of ours. OpenCL devices have none. With ``devices``, a snapshot, GPUs are told by their
    UUID, or by their place on the PCI bus; else by their number."""
    kind, _, number = name.partition(":")
    if kind == "cpu":
        return torch.device("cpu")
    if kind not in ("cuda", "hip"):
        raise UsageError(
            f"the model computes on {name}, and torch cannot compute there",
            "load it with compute_device='cpu', or a device of cuda or hip",
        )
    if (kind == "hip") != (torch.version.hip is not None):
        raise UsageError(
            f"the model computes on {name}, and this torch is built for {'CUDA' if kind == 'hip' else 'HIP'}"
        )
    device = next((each for each in devices or () if name == each.name or name in each.aliases), None)
    if device is None:
        return torch.device("cuda", int(number or 0))
    index = _index_in_torch(device)
    if index == -1:
        raise UsageError(
            f"torch does not see {device.name}, {device.model}",
            "CUDA_VISIBLE_DEVICES, or HIP_VISIBLE_DEVICES, says which devices a process sees",
        )
    return torch.device("cuda", int(number or 0) if index is None else index)


def device_name(device: Union[str, torch.device], devices: Iterable[Device]) -> str:
    """Our name for a device of torch's, among those of a snapshot. ``cuda`` without a number is torch's current one."""
    wanted = torch.device(device)
    if wanted.type == "cpu":
        return "cpu"
    if wanted.type != "cuda":
        raise NotFoundError(f"torch's {wanted} is no device of distorch2's")
    number = wanted.index if wanted.index is not None else torch.cuda.current_device()
    kind = "hip" if torch.version.hip is not None else "cuda"
    gpus = {each.name: _index_in_torch(each) for each in devices if each.driver == kind}
    for name, index in gpus.items():
        if index == number:
            return name
    if any(index is not None for index in gpus.values()) or f"{kind}:{number}" not in gpus:
        raise NotFoundError(f"torch's {wanted} is none of the devices of {kind} here: {', '.join(gpus) or 'none'}")
    return f"{kind}:{number}"


def _index_in_torch(device: Device) -> Optional[int]:
    """The number that torch gives a GPU, -1 where torch does not see it; None where that cannot be told."""
    told = False
    for index in range(torch.cuda.device_count()):
        same = _same(device, torch.cuda.get_device_properties(index))
        if same:
            return index
        told = told or same is not None
    return -1 if told else None


def _same(device: Device, properties: Any) -> Optional[bool]:
    """Whether they are one GPU; None where there is nothing to tell it by."""
    uuid = getattr(properties, "uuid", None)
    if device.uuid and uuid is not None:
        return _digits(device.uuid) in _spellings(str(uuid))
    bus = getattr(properties, "pci_bus_id", None)
    if device.pci and bus is not None:
        place = (getattr(properties, "pci_domain_id", 0), bus, getattr(properties, "pci_device_id", 0))
        return "{:04x}:{:02x}:{:02x}".format(*place) == device.pci.lower().rpartition(".")[0]
    return None


def _digits(uuid: str) -> str:
    text = uuid.lower().replace("gpu-", "").replace("mig-", "")
    return "".join(each for each in text if each in string.hexdigits)


def _spellings(uuid: str) -> set[str]:
    """A UUID's digits; and, since AMD's are 16 letters that torch takes for bytes, what those letters are."""
    digits = _digits(uuid)
    found = {digits}
    try:
        found.add(_digits(bytes.fromhex(digits).decode("ascii")))
    except (ValueError, UnicodeDecodeError):
        pass
    return found
