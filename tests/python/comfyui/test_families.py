# SPDX-License-Identifier: BSD-3-Clause
"""Every family of control network, by ComfyUI's own loader and by our node: the outputs are equal, bit for bit.

Files are made of layouts, with weights of sane scale; of deep networks the first blocks, since the others are alike.
"""

import os
import re
import time

import checkout as here
import tap

here.start()

import comfy.controlnet
import torch
from distorch2.torch import DTYPES
from safetensors.torch import save_file

SEED = 29
SPREAD = "cpu,30%;opencl:0,35%;opencl:1,*"
torch.set_num_threads(2)


def random(*shape, seed=SEED):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def file_of(layout, keep=r""):
    """A file of a layout, or of those tensors of it whose names fit."""
    path = f"{here.models()}/{layout}.safetensors"
    generator = torch.Generator().manual_seed(SEED)
    state = {}
    with open(f"{tap.SOURCE}/tests/data/layouts/{layout}.tsv", encoding="utf-8") as lines:
        for line in lines:
            name, dtype, shape = line.rstrip("\n").split("\t")
            if re.search(keep, name):
                sizes = [int(size) for size in shape.split(",") if size]
                scale = 0.5 if len(sizes) < 2 else (1 / max(sizes[1:2] + [1])) ** 0.5
                state[name] = (torch.randn(sizes, generator=generator) * scale).to(DTYPES[dtype])
    save_file(state, path)
    return path


def blocks(number, *lists):
    """Keeps the first blocks of each list."""
    others = "|".join(lists)
    return rf"^(?!.*({others})\.(?!({'|'.join(map(str, range(number)))})\.))"


def unet(context, **more):
    return {
        "x": random(2, 4, 16, 16),
        "hint": random(2, 3, 128, 128).sigmoid(),
        "timesteps": torch.tensor([500.0, 500.0]),
        "context": random(2, 77, context),
        **more,
    }


def flux(channels):
    hint = random(1, 16, 16, 16) if channels == 16 else random(1, 3, 128, 128).sigmoid()
    inputs = {"x": random(1, 16, 16, 16), "timesteps": torch.tensor([0.5]), "context": random(1, 32, 4096)}
    return {**inputs, "y": random(1, 768), "guidance": torch.tensor([3.5]), "hint": hint}


FAMILIES = {
    "t2iadapter_canny_sd15v2": ("", None),
    "control_v11p_sd15_canny_fp16": ("", lambda: unet(768)),
    "diffusers_sd15_canny": ("", lambda: unet(768)),
    "xlabs_flux_canny_v3": (blocks(1, "double_blocks", "controlnet_blocks"), lambda: flux(3)),
    "diffusers_flux_instantx_canny": (
        blocks(1, "transformer_blocks", "single_transformer_blocks", "controlnet_blocks", "controlnet_single_blocks"),
        lambda: flux(16),
    ),
    "diffusers_sd3_instantx_canny": (
        blocks(2, "transformer_blocks", "controlnet_blocks"),
        lambda: {
            "x": random(1, 16, 16, 16),
            "timesteps": torch.tensor([0.5]),
            "y": random(1, 2048),
            "context": random(1, 77, 4096),
            "hint": random(1, 16, 16, 16),
        },
    ),
    "diffusers_qwen_instantx_union": (
        blocks(1, "transformer_blocks", "controlnet_blocks"),
        lambda: {
            "x": random(1, 16, 1, 16, 16),
            "timesteps": torch.tensor([0.5]),
            "context": random(1, 32, 3584),
            "hint": random(1, 16, 1, 16, 16),
        },
    ),
    "sdxl_controlnet_cldm_fp16": ("", lambda: unet(2048, y=random(2, 2816))),
}
LARGE = {"sdxl_controlnet_cldm_fp16"}


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
    with torch.inference_mode():
        if inputs is None:
            return list(tensors(module(random(1, 1, 256, 256).sigmoid())))
        cast = {name: tensor.to(dtype) for name, tensor in inputs().items()}
        return list(tensors(module(**cast)))


def compare(name):
    keep, inputs = FAMILIES[name]
    path = file_of(name, keep)
    stock = comfy.controlnet.load_controlnet(path)
    begin = time.process_time()
    expected = run(stock, inputs)
    spent = [time.process_time() - begin]
    assert expected and all(torch.isfinite(each).all() and each.any() for each in expected), "it proves nothing"
    del stock
    loader = NODES.NODE_CLASS_MAPPINGS["DisTorch2ControlNetLoader"]()
    for allocations in (SPREAD, "cpu,*", "opencl:0,*"):
        said = loader.load_controlnet(
            os.path.basename(path),
            compute_device="cpu",
            virtual_vram_gb=0.0,
            donor_device="cpu",
            expert_mode_allocations=allocations,
            eject_models=True,
        )
        control = said["result"][0]
        network = module_of(control)._distorch2_network
        assert network.awake and "cpu" in said["ui"]["text"][0], said
        if allocations == "cpu,*":
            run(control, inputs)
        begin = time.process_time()
        got = run(control, inputs)
        spent.append(time.process_time() - begin)
        assert len(got) == len(expected)
        for one, other in zip(expected, got):
            assert one.dtype == other.dtype and torch.equal(one, other), f"{name}, {allocations}: outputs differ"
        del said, control, network
    assert not MACHINE.context().models, "a network that nobody has is loaded still"
    os.unlink(path)
    ratios = ", ".join(f"{each / spent[0]:.2f}" for each in spent[1:])
    tap.diag(f"{name}: {len(expected)} outputs are equal; processor time of a pass {ratios} x stock's")
    tap.count(len(expected), "outputs of ComfyUI's networks, equal to the stock loader's")


NODES = here.node_folder()
import distorch2_nodes.machine as MACHINE  # noqa: E402, N812


def case(name):
    def test():
        if name in LARGE and not os.environ.get("DISTORCH2_COMFYUI_LARGE"):
            raise tap.Skip("it takes 12 GiB of memory: DISTORCH2_COMFYUI_LARGE=1")
        if "opencl:1" not in MACHINE.donor_names():
            raise tap.Skip("there are no two OpenCL devices")
        compare(name)

    return test


if __name__ == "__main__":
    tap.run_tests({f"test_{name}": case(name) for name in FAMILIES})
