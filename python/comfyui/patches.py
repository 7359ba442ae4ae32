# SPDX-License-Identifier: BSD-3-Clause
"""Patches of other nodes to a spread network's weights, a LoRA for a ControlNet such as: they are worked out when a layer
uses its weight, with what ComfyUI works out when it loads one."""

from __future__ import annotations

import logging
from typing import Any

import comfy.float
import comfy.lora
import comfy.model_management as management
from comfy.model_patcher import string_to_seed


class _Patched:
    """One of the functions through which ComfyUI's layers send a weight before they use it."""

    def __init__(self, key: str, patches: list[Any], dtype: Any) -> None:
        self._key = key
        self._patches = patches
        self._dtype = dtype

    def __call__(self, weight: Any) -> Any:
        computed = management.cast_to_device(weight, weight.device, _computes_in(weight.device), copy=True)
        patched = comfy.lora.calculate_weight(self._patches, computed, self._key)
        return comfy.float.stochastic_rounding(patched, self._dtype, seed=string_to_seed(self._key)).to(weight.dtype)


def _computes_in(device: Any) -> Any:
    import torch

    chosen = getattr(management, "lora_compute_dtype", None)
    return torch.float32 if chosen is None else chosen(device)


def set_patches(module: Any, patches: dict[str, list[Any]]) -> None:
    """A module's weights have these patches from now on, and no others of ours."""
    for each in module.modules():
        for key in ("weight_function", "bias_function"):
            functions = getattr(each, key, None)
            if functions and any(isinstance(function, _Patched) for function in functions):
                setattr(each, key, [function for function in functions if not isinstance(function, _Patched)])
    left_out = []
    for name, list_of in patches.items():
        path, _, key = name.rpartition(".")
        owner = module.get_submodule(path)
        functions = getattr(owner, f"{key}_function", None)
        if functions is None:
            left_out.append(name)
        else:
            setattr(owner, f"{key}_function", [*functions, _Patched(name, list_of, getattr(owner, key).dtype)])
    if left_out:
        logging.warning("distorch2: patches of %s are left out, which no layer of ComfyUI's uses", ", ".join(left_out))
