# SPDX-License-Identifier: BSD-3-Clause
"""ControlNets of ComfyUI's own classes with made-up weights, as the files that people have: a ComfyUI checkout must be
started in this process."""

import json

import comfy.cldm.cldm
import comfy.t2i_adapter.adapter
import comfy.utils
import torch
from pack import SMALL, filled
from safetensors.torch import save_file

UNION = {
    "image_size": 32,
    "in_channels": 4,
    "model_channels": 320,
    "num_res_blocks": [2, 2, 2],
    "channel_mult": [1, 2, 4],
    "num_head_channels": 64,
    "num_classes": "sequential",
    "adm_in_channels": 2816,
    "use_spatial_transformer": True,
    "transformer_depth": [0, 0, 0, 0, 0, 0],
    "transformer_depth_middle": 0,
    "transformer_depth_output": [0, 0, 0, 0, 0, 0, 0, 0, 0],
    "use_linear_in_transformer": True,
    "context_dim": 1,
}
"""The small SDXL ControlNet without attention, as a union of several kinds."""


def state(module, dtype):
    return {name: tensor.to(dtype).contiguous() for name, tensor in module.state_dict().items()}


MID = {
    **UNION,
    "transformer_depth": [0, 0, 0, 0, 1, 1],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [0, 0, 0, 0, 0, 0, 1, 1, 1],
    "context_dim": 2048,
}
"""The middle one, with attention where it is narrowest."""
SD21 = {"use_linear_in_transformer": True, "context_dim": 96}
"""What SD2.1's have otherwise than SD1.5's."""


def _small(seed, hint_channels=3, **more):
    config = {**{key: value for key, value in SMALL.items() if not key.startswith("out")}, **more}
    return filled(comfy.cldm.cldm.ControlNet(**config, hint_channels=hint_channels, dtype=torch.float32), seed)


def small(path, seed=11, dtype=torch.float16, **more):
    """A small ControlNet of SD1.5's kind, with what others have otherwise."""
    tensors = state(_small(seed, **more), dtype)
    if str(path).endswith(".pth"):
        torch.save({f"control_model.{name}": tensor for name, tensor in tensors.items()}, path)
    else:
        save_file(tensors, path)


def difference(path, seed=19):
    """A file of what is to be added to the base model's weights."""
    tensors = {f"control_model.{name}": tensor * 0.1 for name, tensor in state(_small(seed), torch.float32).items()}
    torch.save({**tensors, "difference": torch.ones(1)}, path)


def lora(path, seed=23):
    """A Control-LoRA: what the base model lacks, and a change of low rank of one weight that it has."""
    lacks = ("input_hint_block.", "zero_convs.", "middle_block_out.")
    tensors = {name: each for name, each in state(_small(seed), torch.float32).items() if name.startswith(lacks)}
    generator = torch.Generator().manual_seed(seed)
    wide, narrow = 4 * SMALL["model_channels"], SMALL["model_channels"]
    tensors["time_embed.0.up"] = torch.randn(wide, 4, generator=generator) * 0.1
    tensors["time_embed.0.down"] = torch.randn(4, narrow, generator=generator) * 0.1
    save_file({**tensors, "lora_controlnet": torch.ones(1)}, path)


def quantised(path, in_header, seed=11):
    """Matrices in eight bits, each with its scale, as ComfyUI quantises: which is said beside each, or in the header."""
    tensors, layers = state(_small(seed), torch.float16), {}
    for name in [name for name, each in tensors.items() if name.endswith(".weight") and each.dim() == 2]:
        layer = name.removesuffix(".weight")
        scale = tensors[name].float().abs().amax() / 448
        tensors[name] = (tensors[name].float() / scale).to(torch.float8_e4m3fn)
        tensors[f"{layer}.weight_scale"] = scale
        layers[layer] = {"format": "float8_e4m3fn"}
    if in_header:
        said = {"format_version": "1.0", "layers": layers}
        save_file(tensors, path, {"_quantization_metadata": json.dumps(said)})
    else:
        beside = {f"{layer}.comfy_quant": json.dumps(each).encode() for layer, each in layers.items()}
        save_file(tensors | {name: torch.tensor(list(each), dtype=torch.uint8) for name, each in beside.items()}, path)


def adapter(path, seed=13):
    """A small T2I adapter."""
    network = comfy.t2i_adapter.adapter.Adapter_light(cin=192, channels=[320, 640, 1280, 1280], nums_rb=4)
    save_file(state(filled(network, seed), torch.float32), path)


def diffusers_names(config):
    """From the names of ComfyUI's network to those of the diffusers library."""
    names = {ours: theirs for theirs, ours in comfy.utils.unet_to_diffusers(config).items()}
    for suffix in ("weight", "bias"):
        names[f"middle_block_out.0.{suffix}"] = f"controlnet_mid_block.{suffix}"
        hints = ["conv_in", *(f"blocks.{i}" for i in range(6)), "conv_out"]
        for i, hint in enumerate(hints):
            names[f"input_hint_block.{2 * i}.{suffix}"] = f"controlnet_cond_embedding.{hint}.{suffix}"
        for i in range(16):
            names[f"zero_convs.{i}.0.{suffix}"] = f"controlnet_down_blocks.{i}.{suffix}"
    return names


def diffusers(path, config, seed=17, dtype=torch.float16, **more):
    """A ControlNet in the form of the diffusers library; ``union_controlnet_num_control_type`` makes it a union."""
    network = comfy.cldm.cldm.ControlNet(**config, hint_channels=3, dtype=torch.float32, **more)
    names = diffusers_names(config)
    tensors = {}
    for name, tensor in state(filled(network, seed), dtype).items():
        tensors[names.get(name, name).replace(".attn.in_proj.", ".attn.in_proj_")] = tensor
    save_file(tensors, path)


def union(path):
    diffusers(path, UNION, union_controlnet_num_control_type=6)
