# SPDX-License-Identifier: BSD-3-Clause
"""The safetensors names of dtypes, in torch's terms, and which casts lose nothing."""

from __future__ import annotations

import torch

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


def keeps_all(held: torch.dtype, wanted: torch.dtype) -> bool:
    """Whether every value of the one dtype is one of the other."""
    if held == wanted:
        return True
    if not (held.is_floating_point and wanted.is_floating_point):
        return False
    one, other = torch.finfo(held), torch.finfo(wanted)
    subnormals = one.smallest_normal * one.eps >= other.smallest_normal * other.eps
    return one.eps >= other.eps and one.max <= other.max and subnormals


def wanted_dtype(module: torch.nn.Module, key: str, tensor: torch.Tensor) -> torch.dtype:
    """The dtype in which a module computes with its parameter or buffer ``key``: what it has, unless the module says
    another (``<key>_comfy_model_dtype``: ComfyUI keeps parameters in the dtype of the file, and the wanted one there).
    """
    said = getattr(module, f"{key}_comfy_model_dtype", None)
    return said if isinstance(said, torch.dtype) else tensor.dtype
