# SPDX-License-Identifier: BSD-3-Clause
"""Every family of control network, by ComfyUI's own loader and by our node: the outputs are equal, bit for bit."""

import gc
import os
import time

import checkout as here
import tap

here.start()

import comfy.controlnet
import families
import torch

SPREAD = "cpu,30%;opencl:0,35%;opencl:1,*"
torch.set_num_threads(1)


def module_of(control):
    return getattr(control, "control_model", None) or control.t2i_model


def tensors(value):
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from tensors(value[key])
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from tensors(each)


def run(control, inputs):
    module = module_of(control)
    dtype = getattr(control, "manual_cast_dtype", None) or next(module.parameters()).dtype
    given = inputs()
    with torch.inference_mode():
        if isinstance(given, torch.Tensor):
            return list(tensors(module(given)))
        if type(control).__name__ == "ControlNetSD35":
            control.pre_run(families.Base(), lambda percent: percent)
        cast = {name: value.to(dtype) if isinstance(value, torch.Tensor) else value for name, value in given.items()}
        return list(tensors(module(**cast)))


def timed(control, inputs, passes=3):
    """The outputs of a pass after the first, and the processor time of the quickest."""
    run(control, inputs)
    seconds = []
    for _ in range(passes):
        begin = time.process_time()
        found = run(control, inputs)
        seconds.append(time.process_time() - begin)
    return found, min(seconds)


def load(path, allocations):
    said = NODES.NODE_CLASS_MAPPINGS["DisTorch2ControlNetLoader"]().load_controlnet(
        os.path.basename(path),
        compute_device="cpu",
        virtual_vram_gb=0.0,
        donor_device="cpu",
        expert_mode_allocations=allocations,
        eject_models=True,
    )
    control = said["result"][0]
    assert module_of(control)._distorch2_network.awake and "cpu" in said["ui"]["text"][0], said
    return control


def compare(name):
    make, inputs = families.FAMILIES[name]
    ending = ".pth" if name.endswith(".pth") else ".safetensors"
    path = f"{here.models()}/{''.join(each for each in name if each.isalnum())}{ending}"
    make(path)
    stock = comfy.controlnet.load_controlnet(path)
    expected, seconds = timed(stock, inputs)
    assert expected and all(torch.isfinite(each).all() and each.any() for each in expected), "it proves nothing"
    del stock
    ratios = []
    for allocations in (SPREAD, "cpu,*", "opencl:0,*"):
        control = load(path, allocations)
        got, spent = timed(control, inputs)
        ratios.append(f"{spent / max(seconds, 1e-9):.2f}")
        assert len(got) == len(expected)
        for one, other in zip(expected, got):
            assert one.dtype == other.dtype and torch.equal(one, other), f"{name}, {allocations}: outputs differ"
        del control
        gc.collect()
    assert not MACHINE.context().models, "a network that nobody has is loaded still"
    os.unlink(path)
    tap.diag(f"{name}: {len(expected)} outputs are equal; processor time of a pass {', '.join(ratios)} x stock's")
    tap.count(len(expected), "outputs of ComfyUI's networks, equal to the stock loader's")


NODES = here.node_folder()
import distorch2_nodes.machine as MACHINE  # noqa: E402, N812


def case(name):
    def test():
        if name in families.LARGE and not os.environ.get("DISTORCH2_COMFYUI_LARGE"):
            raise tap.Skip("it takes 12 GiB of memory: DISTORCH2_COMFYUI_LARGE=1")
        if "opencl:1" not in MACHINE.donor_names():
            raise tap.Skip("there are no two OpenCL devices")
        compare(name)

    return test


if __name__ == "__main__":
    tap.run_tests({f"test_{name}": case(name) for name in families.FAMILIES})
