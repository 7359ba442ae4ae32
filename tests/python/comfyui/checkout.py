# SPDX-License-Identifier: BSD-3-Clause
"""A ComfyUI checkout in this process, without its server, and our node folder in it."""

import importlib.util
import os
import sys

import tap

ROOT = os.environ.get("DISTORCH2_COMFYUI", "")
FOLDER = f"{tap.SOURCE}/python/comfyui"


def start():
    """Imports ComfyUI as its main program does, to compute on the processor. To be called before torch is imported."""
    if not os.path.isfile(f"{ROOT}/comfy/controlnet.py"):
        print("1..0 # SKIP DISTORCH2_COMFYUI names no checkout of ComfyUI")
        sys.exit(0)
    sys.argv = [sys.argv[0], "--cpu"]
    sys.path.insert(0, os.path.abspath(ROOT))
    import comfy.options

    comfy.options.enable_args_parsing()
    import comfy.controlnet  # noqa: F401
    import folder_paths
    import nodes  # noqa: F401

    os.makedirs(models(), exist_ok=True)
    folder_paths.folder_names_and_paths["controlnet"] = ([models()], {".safetensors", ".pth"})


def models():
    """Where the test's ControlNets lie."""
    return tap.scratch("controlnet")


def node_folder(name="distorch2_nodes"):
    """The node folder as ComfyUI imports it: a package under a name of its own."""
    spec = importlib.util.spec_from_file_location(name, f"{FOLDER}/__init__.py", submodule_search_locations=[FOLDER])
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)
    return package
