# SPDX-License-Identifier: BSD-3-Clause
"""Every family of control network, by ComfyUI's own loader and by our node: the outputs are equal, bit for bit, and a
pass takes as long."""

import gc
import os
import time

import checkout as here
import tap

here.start()

import comfy.controlnet
import families
import torch
from comfy.cli_args import args

RESIDENT = "cpu,*"
PASSES = {RESIDENT: 9, "opencl:0,*": 3, "cpu,30%;opencl:0,35%;opencl:1,*": 3}
"""Allocations, and how many passes of each are measured."""
_rows, _resident = [], {}
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
        base = families.BASES.get(type(control).__name__)
        if base is not None:
            control.pre_run(base(), lambda percent: percent)
            given = {**given, **control.extra_args}
        cast = {name: value.to(dtype) if isinstance(value, torch.Tensor) else value for name, value in given.items()}
        return list(tensors(module(**cast)))


def seconds_of(control, inputs):
    """The outputs of a pass, and the processor time that it took."""
    begin = time.process_time()
    found = run(control, inputs)
    return found, time.process_time() - begin


def beside(stock, control, inputs, passes):
    """Processor time of passes of both, in turns, since a busy machine is slow to one as to the other: the ratio of the
    medians, and that of the quickest."""
    both, spent = (stock, control), ([], [])
    for turn in range(passes):
        for i in (0, 1) if turn % 2 else (1, 0):
            spent[i].append(seconds_of(both[i], inputs)[1])
    theirs, ours = (sorted(each) for each in spent)
    return ours[passes // 2] / theirs[passes // 2], ours[0] / theirs[0]


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
    run(stock, inputs)
    expected, seconds = seconds_of(stock, inputs)
    assert expected and all(torch.isfinite(each).all() and each.any() for each in expected), "it proves nothing"
    row = [f"{len(expected):7}", f"{1000 * seconds:10.0f}"]
    for allocations, passes in PASSES.items():
        control = load(path, allocations)
        got = run(control, inputs)
        assert len(got) == len(expected)
        for one, other in zip(expected, got):
            assert one.dtype == other.dtype and torch.equal(one, other), f"{name}, {allocations}: outputs differ"
        usual, quickest = beside(stock, control, inputs, passes)
        row.append(f"{usual:8.2f}")
        if allocations == RESIDENT:
            _resident[name] = min(usual, quickest)  # a busy machine spoils either, seldom both
        del control
        gc.collect()
    assert not MACHINE.context().models, "a network that nobody has is loaded still"
    os.unlink(path)
    _rows.append(f"{name:18}{' '.join(row)}")
    tap.count(len(expected), "outputs of ComfyUI's networks, equal to the stock loader's")


def test_a_pass_takes_no_more_than_stock():
    """Where all lies on the device that computes: what is beside the model's own work shows."""
    tap.diag("family            outputs  ms, stock  resident  one donor  spread: processor time of a pass, x stock's")
    for row in _rows:
        tap.diag(row)
    slower = {name: f"{ratio:.2f}" for name, ratio in _resident.items() if ratio > 1.1}
    assert _resident and not slower, slower


NODES = here.node_folder()
import distorch2_nodes.machine as MACHINE  # noqa: E402, N812


def case(name):
    def test():
        large = name in families.LARGE
        if large and not os.environ.get("DISTORCH2_COMFYUI_LARGE"):
            raise tap.Skip("it takes 12 GiB of memory: DISTORCH2_COMFYUI_LARGE=1")
        if "opencl:1" not in MACHINE.donor_names():
            raise tap.Skip("there are no two OpenCL devices")
        # Half precision stays so, in half the memory; ComfyUI's own HunyuanDiT does not compute in it.
        args.fp16_unet = large and name != "HunyuanDiT"
        compare(name)

    return test


if __name__ == "__main__":
    cases = {f"test_{name}": case(name) for name in families.FAMILIES}
    tap.run_tests({**cases, "test_a_pass_takes_no_more_than_stock": test_a_pass_takes_no_more_than_stock})
