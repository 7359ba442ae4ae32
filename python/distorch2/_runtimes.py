# SPDX-License-Identifier: BSD-3-Clause
"""The CUDA and HIP runtimes that the installed torch will load, found among files: torch is not imported for it.

A process should have one copy of each. Whoever loads another before torch is imported takes that one's place: torch's
libraries then find an older libcudart under the name of theirs, or start a second HSA beside the one that runs.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import sys
from collections.abc import Iterable
from typing import Optional

# "libcudart.so.12", "libcudart-d0da41ae.so.11.0": the name of a library, with a hash where a tool has bundled it.
_NAME = r"{}(-[0-9a-f]+)?\.so(\.(?P<major>\d+)[.\d]*)?"


def _package(name: str) -> list[str]:
    """The folders of an installed package, without importing it."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return []
    return list(spec.submodule_search_locations or ()) if spec is not None and spec.origin is not None else []


def _versions(torch: str) -> dict[str, Optional[str]]:
    """What torch/version.py says it was built for: {"cuda": "12.8", "hip": None}; empty where it does not say."""
    try:
        with open(os.path.join(torch, "version.py"), encoding="utf-8") as file:
            tree = ast.parse(file.read())
    except (OSError, ValueError, SyntaxError):
        return {}
    found: dict[str, Optional[str]] = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        for target in targets:
            if isinstance(target, ast.Name) and target.id in ("cuda", "hip") and isinstance(value, ast.Constant):
                found[target.id] = value.value if isinstance(value.value, str) else None
    return found


def _built_for(torch: str, kind: str, *libraries: str) -> tuple[bool, str]:
    """Whether this torch is one for CUDA, or HIP, and of which major version; "" where it does not say."""
    versions = _versions(torch)
    if kind in versions:
        version = versions[kind] or ""
        return bool(version), version.partition(".")[0]
    return any(os.path.isfile(os.path.join(torch, "lib", library)) for library in libraries), ""


def _library(folders: Iterable[str], base: str, major: str) -> Optional[str]:
    """The first folder's copy of a library, by the shortest of its names that have a version."""
    pattern = re.compile(_NAME.format(base))
    for folder in folders:
        try:
            matches = [(pattern.fullmatch(name), name) for name in os.listdir(folder)]
        except OSError:
            continue
        names = [
            (match["major"] is None, len(name), name)
            for match, name in matches
            if match is not None
            and major in ("", match["major"] or major)
            and os.path.isfile(os.path.join(folder, name))
        ]
        if names:
            return os.path.abspath(os.path.join(folder, min(names)[2]))
    return None


def _conda(torch: str) -> list[str]:
    """The folder of a conda environment's libraries, to which its torch's lead (``$ORIGIN/../../../..``)."""
    prefix = os.path.normpath(os.path.join(torch, "..", "..", "..", ".."))
    return [os.path.join(prefix, "lib")] if os.path.isdir(os.path.join(prefix, "conda-meta")) else []


def _cuda(torch: str) -> Optional[str]:
    built, major = _built_for(torch, "cuda", "libc10_cuda.so", "libtorch_cuda.so")
    if not built:
        return None
    # Beside torch's own libraries, or in NVIDIA's packages: those beside torch before others, as its libraries look.
    folders = [os.path.join(torch, "lib")]
    for root in (os.path.dirname(torch), *sys.path):
        folders += [os.path.join(root, "nvidia", name, "lib") for name in (f"cu{major}", "cuda_runtime")]
    return _library(folders + _conda(torch), "libcudart", major)


def _hip(torch: str) -> Optional[str]:
    built, _ = _built_for(torch, "hip", "libc10_hip.so", "libtorch_hip.so")
    if not built:
        return None
    # Beside torch's own libraries, or in AMD's package, which has the whole of ROCm's core.
    folders = [os.path.join(torch, "lib")]
    folders += [os.path.join(core, "lib") for core in _package("_rocm_sdk_core")]
    return _library(folders + _conda(torch), "libamdhip64", "")


def of_torch() -> tuple[Optional[str], Optional[str]]:
    """The files of libcudart and libamdhip64 that the installed torch will load; None for what it does not bring."""
    for torch in _package("torch"):
        return _cuda(torch), _hip(torch)
    return None, None
