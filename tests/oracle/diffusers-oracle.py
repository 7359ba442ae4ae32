#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""ControlNets and adapters of diffusers, built and run on the meta device: what they are, and in which order they use
their parameters, must be what we tell from the names.

usage: diffusers-oracle.py [--seed N]

Layers must agree exactly, and each tap must stand right behind its layer (diffusers runs all taps at the end, which is
of no matter: they read what the layers gave). Modules inside a layer must agree too, but for those whose order differs
between networks that name them alike: the two that end an attention of two streams, and the norms of its first stream, which
SD3.5 runs before the projections of the second, and Flux behind them.
"""
import argparse
import itertools
import json
import logging
import os
import random
import struct
import sys
import tempfile
import types
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
logging.disable(logging.WARNING)
warnings.simplefilter("ignore")

import diffusers
import torch

import composed
import dt2

DTYPES = {torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32", torch.int64: "I64"}
SD15 = {"cross_attention_dim": 768}
SD21 = {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True}
SDXL = {"block_out_channels": (320, 640, 1280), "cross_attention_dim": 2048, "attention_head_dim": (5, 10, 20),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "transformer_layers_per_block": (1, 2, 10), "use_linear_projection": True, "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816}
SD3 = {"num_layers": 6, "num_attention_heads": 24, "caption_projection_dim": 1536, "pos_embed_max_size": 192}
FLUX = {"num_layers": 5, "num_single_layers": 10, "guidance_embeds": True}


def zeros(*shape, dtype=torch.float16):
    return torch.zeros(shape, dtype=dtype, device="meta")


# -- one call of each network, as its pipeline makes it -----------------------------------------------------------------

def call_unet(net):
    added = {"text_embeds": zeros(1, 1280), "time_ids": zeros(1, 6)} if net.config.addition_embed_type else None
    net(zeros(1, 4, 64, 64), zeros(1), zeros(1, 77, net.config.cross_attention_dim), zeros(1, 3, 512, 512),
        added_cond_kwargs=added)


def call_union(net):
    net(zeros(1, 4, 64, 64), zeros(1), zeros(1, 77, 2048), [zeros(1, 3, 512, 512)],
        zeros(1, net.config.num_control_type), [0], conditioning_scale=[1.0],
        added_cond_kwargs={"text_embeds": zeros(1, 1280), "time_ids": zeros(1, 6)})


def call_sd3(net):
    hint = net.config.in_channels + net.config.extra_conditioning_channels
    text = zeros(1, 154, net.config.joint_attention_dim) if net.config.joint_attention_dim else None
    latent = zeros(1, 16, 64, 64) if net.config.use_pos_embed else zeros(1, 1024, net.inner_dim)
    net(latent, zeros(1, hint, 64, 64), encoder_hidden_states=text, pooled_projections=zeros(1, 2048),
        timestep=zeros(1))


def call_flux(net):
    mode = torch.zeros((1, 1), dtype=torch.int64, device="meta") if net.config.num_mode else None
    net(zeros(1, 1024, net.config.in_channels), zeros(1, 1024, net.config.in_channels), controlnet_mode=mode,
        encoder_hidden_states=zeros(1, 512, 4096), pooled_projections=zeros(1, 768), timestep=zeros(1),
        img_ids=zeros(1024, 3), txt_ids=zeros(512, 3), guidance=zeros(1))


def call_qwen(net):
    net(zeros(1, 1024, 64), zeros(1, 1024, 64 + net.config.extra_condition_channels),
        encoder_hidden_states=zeros(1, 64, 3584), encoder_hidden_states_mask=None, timestep=zeros(1),
        img_shapes=[[(1, 32, 32)]])


def call_adapter(net):
    net(zeros(1, net.config.in_channels, 512, 512))


def call_sparse(net):
    net(zeros(1, 4, 1, 64, 64), zeros(1), zeros(1, 77, net.config.cross_attention_dim), zeros(1, 4, 1, 512, 512),
        conditioning_mask=zeros(1, 1, 1, 512, 512))


def call_sparse_latent(net):
    net(zeros(1, 4, 1, 64, 64), zeros(1), zeros(1, 77, net.config.cross_attention_dim), zeros(1, 4, 1, 64, 64),
        conditioning_mask=zeros(1, 1, 1, 64, 64))


def call_hunyuan(net):
    net(zeros(1, 4, 64, 64), zeros(1), zeros(1, 4, 64, 64), encoder_hidden_states=zeros(1, 77, 1024),
        text_embedding_mask=zeros(1, 77), encoder_hidden_states_t5=zeros(1, 256, 2048), text_embedding_mask_t5=zeros(1, 256),
        image_meta_size=zeros(1, 6), style=torch.zeros(1, dtype=torch.int64, device="meta"))


def call_sana(net):
    net(zeros(1, 32, 32, 32), zeros(1, 8, net.config.caption_channels), zeros(1), zeros(1, 32, 32, 32))


def call_cosmos(net):
    from diffusers.models.controlnets import controlnet_cosmos
    if not hasattr(controlnet_cosmos, "transforms"):  # of torchvision, for one line that scales a mask
        def resize(image, size, **_):
            return zeros(*image.shape[:-2], *size)
        controlnet_cosmos.transforms = types.SimpleNamespace(
            functional=types.SimpleNamespace(resize=resize), InterpolationMode=types.SimpleNamespace(NEAREST=None))
    net(zeros(1, 16, 1, 32, 32), zeros(1, 16, 1, 32, 32), zeros(1), zeros(1, 8, net.config.encoder_hidden_states_channels),
        condition_mask=zeros(1, 1, 1, 32, 32), padding_mask=zeros(1, 1, 32, 32))


def call_vace(net):
    net(zeros(1, 16, 1, 32, 32), zeros(1), zeros(1, 8, 64), control_hidden_states=zeros(1, 96, 1, 32, 32))


def call_composed(net):
    net.call()


# What is built, its options, the call, and what we must say: family, variant, channels of the hint, inpaint, types.
CASES = [
    ("ControlNetModel", SD15, call_unet, ("sd1", "diffusers", 3, False, 0)),
    ("ControlNetModel", SD21, call_unet, ("sd2", "diffusers", 3, False, 0)),
    ("ControlNetModel", SDXL, call_unet, ("sdxl", "diffusers", 3, False, 0)),
    ("ControlNetUnionModel", SDXL, call_union, ("sdxl", "diffusers-union", 3, False, 6)),
    ("ControlNetUnionModel", {**SDXL, "num_control_type": 8}, call_union, ("sdxl", "diffusers-union", 3, False, 8)),
    ("SD3ControlNetModel", SD3, call_sd3, ("sd3", "native", 16, False, 0)),
    ("SD3ControlNetModel", {**SD3, "num_layers": 12}, call_sd3, ("sd3", "native", 16, False, 0)),
    ("SD3ControlNetModel", {**SD3, "extra_conditioning_channels": 1}, call_sd3, ("sd3", "native", 17, True, 0)),
    ("SD3ControlNetModel", {**SD3, "joint_attention_dim": None, "pos_embed_type": None, "use_pos_embed": False},
     call_sd3, ("sd35", "native", 16, False, 0)),
    ("SD3ControlNetModel", {**SD3, "num_layers": 12, "qk_norm": "rms_norm", "dual_attention_layers": (0, 1, 2)}, call_sd3,
     ("sd35", "native", 16, False, 0)),
    ("FluxControlNetModel", FLUX, call_flux, ("flux", "instantx", 64, False, 0)),
    ("FluxControlNetModel", {**FLUX, "num_single_layers": 0}, call_flux, ("flux", "instantx", 64, False, 0)),
    ("FluxControlNetModel", {**FLUX, "num_mode": 10}, call_flux, ("flux", "instantx-union", 64, False, 10)),
    ("QwenImageControlNetModel", {"num_layers": 5}, call_qwen, ("qwen-image", "instantx", 64, False, 0)),
    ("QwenImageControlNetModel", {"num_layers": 12, "extra_condition_channels": 4}, call_qwen,
     ("qwen-image", "instantx", 68, True, 0)),
    ("T2IAdapter", {}, call_adapter, ("sd1", "t2i-adapter-diffusers", 192, False, 0)),
    ("T2IAdapter", {"in_channels": 1}, call_adapter, ("sd1", "t2i-adapter-diffusers", 64, False, 0)),
    ("T2IAdapter", {"adapter_type": "full_adapter_xl", "downscale_factor": 16}, call_adapter,
     ("sdxl", "t2i-adapter-diffusers", 768, False, 0)),
    ("SparseControlNetModel", {"use_simplified_condition_embedding": False, "conditioning_channels": 4}, call_sparse,
     ("sd1", "sparsectrl", 5, False, 0)),
    ("SparseControlNetModel", {}, call_sparse_latent, ("sd1", "sparsectrl", 5, False, 0)),
    ("HunyuanDiT2DControlNetModel", {"transformer_num_layers": 12, "num_attention_heads": 2, "hidden_size": 176,
                                     "in_channels": 4, "patch_size": 2}, call_hunyuan, ("hunyuandit", "diffusers", 0, False, 0)),
    ("SanaControlNetModel", {"num_layers": 12}, call_sana, ("sana", "diffusers", 0, False, 0)),
    ("CosmosControlNetModel", {"n_controlnet_blocks": 12, "model_channels": 256, "num_attention_heads": 2, "text_embed_dim": 64,
                               "encoder_hidden_states_channels": 64}, call_cosmos, ("cosmos", "diffusers", 520, False, 0)),
    ("WanVACETransformer3DModel", {"num_layers": 12, "vace_layers": list(range(11)), "num_attention_heads": 2, "ffn_dim": 512,
                                   "text_dim": 64}, call_vace, ("wan", "vace", 96, False, 0)),
    (composed.ZImage, {"control_layers_places": [0, 5, 10, 15, 20, 25]}, call_composed, ("z-image", "fun", 64, False, 0)),
    (composed.ZImage, {"control_layers_places": [*range(0, 30, 2)], "add_control_noise_refiner": "control_noise_refiner"},
     call_composed, ("z-image", "fun-union", 132, False, 0)),
    (composed.ZImage, {"control_layers_places": [0, 10, 20], "add_control_noise_refiner": "control_layers"}, call_composed,
     ("z-image", "fun", 132, False, 0)),
    (composed.QwenFun, {}, call_composed, ("qwen-image", "fun", 132, False, 0)),
    (composed.Flux2Fun, {}, call_composed, ("flux2", "fun", 260, False, 0)),
    (composed.WanControl, {}, call_composed, ("wan", "native", 3, False, 0)),
]
LAYERS = ("conv_in", "down_blocks", "mid_block", "transformer_blocks", "single_transformer_blocks", "body", "blocks",
          "vace_blocks", "control_noise_refiner", "control_layers", "control_blocks", "control_transformer_blocks")
TAPS = {"controlnet_down_blocks": None, "controlnet_mid_block": None, "controlnet_blocks": ("transformer_blocks", "blocks"),
        "controlnet_single_blocks": ("single_transformer_blocks",)}


def recorded(net, call):
    """The modules that have tensors of their own in the file, in the order in which they are first called."""
    used, hooks, own = [], [], {name.rpartition(".")[0] for name in net.state_dict()}
    for name, module in net.named_modules():
        if name in own:
            hooks.append(module.register_forward_pre_hook(lambda *_, name=name: used.append(name)))
    with torch.no_grad():
        call(net)
    for hook in hooks:
        hook.remove()
    return list(dict.fromkeys(used))


def write(rng, state, path):
    """A sparse file of the layout, its tensors in any order."""
    header, at = {}, 0
    names = list(state)
    rng.shuffle(names)
    for name in names:
        size = state[name].numel() * state[name].element_size()
        header[name] = {"dtype": DTYPES[state[name].dtype], "shape": list(state[name].shape),
                        "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        out.truncate(8 + len(text) + at)


def layer_of(module):
    """The part of a module's name that is its layer; None before the layers."""
    parts = module.split(".")
    if parts[0] == "adapter":
        parts = parts[1:]
    if parts[0] not in LAYERS or parts[0] == "conv_in" and len(parts) > 1:
        return None
    return ".".join(parts[:4] if parts[0] == "down_blocks" else parts[:3] if parts[0] == "mid_block" else parts[:2])


def runs(names, key):
    return [layer for layer, _ in itertools.groupby(key(name) for name in names) if layer is not None]


def check_taps(wrong, what, blocks, is_adapter):
    """Tap N stands right behind layer N; those of the UNets behind what gives their input."""
    for at, name in enumerate(blocks):
        parts = name.split(".")
        if parts[0] not in TAPS or is_adapter:
            continue
        before = layer_of(blocks[at - 1]) or ""
        layers = TAPS[parts[0]]
        if layers and before not in ["%s.%s" % (layer, parts[1]) for layer in layers]:
            wrong.add("%s: %s stands behind %s" % (what, name, blocks[at - 1]))
        if parts[0] == "controlnet_down_blocks" and not before.startswith(("conv_in", "down_blocks")):
            wrong.add("%s: %s stands behind %s" % (what, name, blocks[at - 1]))


def check(wrong, rng, folder, kind, options, call, expected):
    make = getattr(diffusers, kind) if isinstance(kind, str) else kind
    what = "%s(%s)" % (make.__name__, ", ".join("%s=%s" % pair for pair in options.items()))
    with torch.device("meta"):
        net = make(**options).to(torch.float16)
    path = os.path.join(folder, "diffusion_pytorch_model.safetensors")
    write(rng, net.state_dict(), path)
    with dt2.File(folder) as file:
        family, variant, traits, blocks = file.network()
    found = (family, variant, traits["hint_channels"], traits["inpaint"], traits["union_types"])
    if found != expected:
        wrong.add("%s: is taken for %s, and is %s" % (what, found, expected))
    used = recorded(getattr(net, "control", net), lambda _: call(net))
    used = [name for name in used if name in {own.rpartition(".")[0] for own in net.state_dict()}]
    ours, theirs = (runs([n for n in names if n.split(".")[0] not in TAPS], layer_of) for names in (blocks, used))
    if ours != theirs:
        wrong.add("%s: layers %s; the network ran %s" % (what, ours, theirs))
    for tap in TAPS:
        ours, theirs = ([n for n in names if n.split(".")[0] == tap] for names in (blocks, used))
        if ours != theirs:
            wrong.add("%s: taps %s; the network ran %s" % (what, ours, theirs))
    check_taps(wrong, what, blocks, kind == "T2IAdapter")
    differing = (".to_add_out", ".norm_q", ".norm_k") if family == "sd35" else (".to_add_out",)
    ours, theirs = ([n for n in names if layer_of(n) and not n.endswith(differing)] for names in (blocks, used))
    inside = next((pair for pair in zip(ours, theirs) if pair[0] != pair[1]), None)
    if inside or len(ours) != len(theirs):
        wrong.add("%s: %s stands where %s was used" % ((what,) + (inside or ("nothing", "something"))))
    return len(net.state_dict())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    args = parser.parse_args()
    print("diffusers %s, seed %d" % (diffusers.__version__, args.seed))
    wrong, rng, tensors = dt2.Differences("diffusers"), random.Random(args.seed), 0
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            try:
                tensors += check(wrong, rng, folder, *case)
            except Exception as error:  # whatever a class refuses with: the other cases are of use without it
                wrong.add("%s %s: cannot be built or run: %s" % (case[0], case[1], str(error).splitlines()[0]))
    return wrong.finish("%d networks, %d tensors" % (len(CASES), tensors))


if __name__ == "__main__":
    sys.exit(main())
