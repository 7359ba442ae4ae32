# SPDX-License-Identifier: BSD-3-Clause
"""Each family of control networks: how a file of it is made, and what its network is run on."""

import re

import comfy.cldm.dit_embedder
import comfy.ldm.cascade.controlnet
import comfy.ldm.flux.controlnet
import comfy.ldm.qwen_image.controlnet
import comfy.ldm.qwen_image.model
import comfy.ops
import comfy.t2i_adapter.adapter
import made
import tap
import torch
from distorch2.torch import DTYPES
from safetensors.torch import save_file

SEED = 29


def random(*shape, seed=SEED):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# -- files --


def weights(layout, keep=r""):
    """Weights of sane scale for a layout, or for those tensors of it whose names fit."""
    generator, state = torch.Generator().manual_seed(SEED), {}
    with open(f"{tap.SOURCE}/tests/data/layouts/{layout}.tsv", encoding="utf-8") as lines:
        for line in lines:
            name, dtype, shape = line.rstrip("\n").split("\t")
            if re.search(keep, name):
                sizes = [int(size) for size in shape.split(",") if size]
                scale = 0.5 if len(sizes) < 2 else (1 / max(sizes[1:2] + [1])) ** 0.5
                state[name] = (torch.randn(sizes, generator=generator) * scale).to(DTYPES[dtype])
    return state


def first(number, *lists):
    """Keeps the first blocks of each list: of a deep network the others are alike."""
    others = "|".join(lists)
    return rf"^(?!.*({others})\.(?!({'|'.join(map(str, range(number)))})\.))"


def of_layout(layout, keep=r""):
    return lambda path: save_file(weights(layout, keep), path)


def of_class(make, dtype=torch.float32):
    """The file of a network of ComfyUI's, by its own names."""
    return lambda path: save_file(made.state(made.filled(make(), SEED), dtype), path)


def stable_diffusion_35(double):
    """The 3.5 ControlNet, four heads wide and two blocks deep, in either form."""
    return comfy.cldm.dit_embedder.ControlNetEmbedder(
        img_size=None,
        patch_size=2,
        in_chans=16,
        num_layers=2,
        main_model_double=4,
        double_y_emb=double,
        attention_head_dim=64,
        num_attention_heads=4,
        adm_in_channels=2048,
        device="cpu",
        dtype=torch.float32,
        operations=comfy.ops.disable_weight_init,
    )


def mistoline(path):
    """What XLabs's network is, with other blocks for its outputs and its hint."""
    state = weights("xlabs_flux_canny_v3", first(1, "double_blocks", "controlnet_blocks"))
    state = {
        name.replace("blocks.0.", "blocks.0.linear.") if name.startswith("control") else name: tensor
        for name, tensor in state.items()
        if "input_hint_block" not in name
    }
    hint = comfy.ldm.flux.controlnet.MistolineCondDownsamplBlock(operations=comfy.ops.disable_weight_init)
    for name, tensor in made.filled(hint, SEED).state_dict().items():
        state[f"input_cond_block.{name}"] = tensor.to(torch.bfloat16)
    save_file(state, path)


def with_more(layout, keep, channels=0, **more):
    """A layout with tensors that others of its family have, by name and shape, and its hint of so many channels."""

    def make(path):
        state = weights(layout, keep)
        if channels:
            more["controlnet_x_embedder.weight"] = state["controlnet_x_embedder.weight"].shape[0], 4 * channels
        like = state["controlnet_x_embedder.weight"].dtype
        save_file({**state, **{name: (random(*shape) * 0.1).to(like) for name, shape in more.items()}}, path)

    return make


def adapter_of_diffusers(path):
    """A full adapter by the names of the diffusers library."""
    state, named = made.state(made.filled(adapters(cin=192, ksize=1)(), SEED), torch.float32), {}
    for name, tensor in state.items():
        body = re.match(r"body\.(\d)\.(.*)", name)
        i = int(body[1]) if body else 0
        named[f"adapter.body.{i // 2}.resnets.{i % 2}.{body[2]}" if body else f"adapter.{name}"] = tensor
    save_file(named, path)


def cascade(kind):
    """Cascade's, which ComfyUI takes for an adapter: on what a network for pictures makes of one, or on latents."""
    network, blocks = comfy.ldm.cascade.controlnet.ControlNet, [0, 4, 8, 12, 51, 55, 59, 63]
    return lambda: network(c_in=3 if kind == "effnet" else 16, bottleneck_mode=kind, proj_blocks=blocks)


def qwen_fun():
    """The Fun network, one head wide."""
    return comfy.ldm.qwen_image.controlnet.QwenImageFunControlNetModel(
        inner_dim=128, num_attention_heads=1, operations=comfy.ops.disable_weight_init, dtype=torch.float32
    )


class QwenBase:
    """The base model in whose terms it computes."""

    model_sampling = None

    def __init__(self):
        with torch.random.fork_rng():
            self.diffusion_model = made.filled(
                comfy.ldm.qwen_image.model.QwenImageTransformer2DModel(
                    num_layers=1, num_attention_heads=1, operations=comfy.ops.disable_weight_init, dtype=torch.float32
                ),
                SEED + 2,
            )


# -- inputs --


def unet(context, hint=3, **more):
    return {
        "x": random(2, 4, 16, 16),
        "hint": random(2, hint, 128, 128).sigmoid(),
        "timesteps": torch.tensor([500.0, 500.0]),
        "context": random(2, 77, context),
        **more,
    }


def flux(channels, **more):
    hint = random(1, 3, 128, 128).sigmoid() if channels == 3 else random(1, channels, 16, 16)
    inputs = {"x": random(1, 16, 16, 16), "timesteps": torch.tensor([0.5]), "context": random(1, 32, 4096)}
    return {**inputs, "y": random(1, 768), "guidance": torch.tensor([3.5]), "hint": hint, **more}


def latents(pooled, context):
    return {
        "x": random(1, 16, 16, 16),
        "timesteps": torch.tensor([0.5]),
        "y": random(1, pooled),
        "context": random(1, 77, context),
        "hint": random(1, 16, 16, 16),
    }


def qwen(channels=16):
    hint = random(1, channels, 1, 16, 16)
    context = random(1, 32, 3584)
    return {"x": random(1, 16, 1, 16, 16), "timesteps": torch.tensor([0.5]), "context": context, "hint": hint}


def hunyuan():
    return {
        "x": random(1, 4, 16, 16),
        "hint": random(1, 4, 16, 16),
        "timesteps": torch.tensor([500.0]),
        "context": random(1, 77, 1024),
        "text_embedding_mask": torch.ones(1, 77),
        "encoder_hidden_states_t5": random(1, 256, 2048),
        "text_embedding_mask_t5": torch.ones(1, 256),
    }


def picture(channels=1):
    """A T2I adapter's: one picture, and nothing else."""
    return lambda: random(1, channels, 256, 256).sigmoid()


class Base:
    """The base model that a 3.5 control reads before it samples."""

    model_sampling = None

    def __init__(self):
        with torch.random.fork_rng():
            whole = made.filled(stable_diffusion_35(double=False), SEED + 1)
        self.diffusion_model = torch.nn.Module()
        self.diffusion_model.x_embedder, self.diffusion_model.y_embedder = whole.x_embedder, whole.y_embedder


def adapters(**options):
    kind = comfy.t2i_adapter.adapter.Adapter
    return lambda: kind(channels=[32, 64, 128, 128], nums_rb=2, sk=True, use_conv=False, **options)


diffusers_flux = first(
    1, "transformer_blocks", "single_transformer_blocks", "controlnet_blocks", "controlnet_single_blocks"
)
diffusers_qwen = first(1, "transformer_blocks", "controlnet_blocks")
SD35 = {name: tensor for name, tensor in latents(2048, 1).items() if name != "context"}
FAMILIES = {
    "T2I, light": (of_layout("t2iadapter_canny_sd15v2"), picture()),
    "T2I, full": (of_class(adapters(cin=192, ksize=1)), picture(3)),
    "T2I, SDXL": (of_class(adapters(cin=768, ksize=1, xl=True)), picture(3)),
    "T2I, diffusers": (adapter_of_diffusers, picture(3)),
    "Cascade": (of_class(cascade("effnet")), picture(3)),
    "small, fp8": (lambda path: made.small(path, dtype=torch.float8_e4m3fn), lambda: unet(64)),
    "small, bf16": (lambda path: made.small(path, dtype=torch.bfloat16), lambda: unet(64)),
    "small.pth": (lambda path: made.small(path, dtype=torch.float32), lambda: unet(64)),
    "SD1.5, cldm": (of_layout("control_v11p_sd15_canny_fp16"), lambda: unet(768)),
    "SD1.5, diffusers": (of_layout("diffusers_sd15_canny"), lambda: unet(768)),
    "SD2.1": (lambda path: made.small(path, **made.SD21), lambda: unet(96)),
    "inpainting": (lambda path: made.small(path, hint_channels=4), lambda: unet(64, hint=4)),
    "SDXL, small": (lambda path: made.diffusers(path, made.UNION), lambda: unet(2048, y=random(2, 2816))),
    "SDXL, union": (made.union, lambda: unet(2048, y=random(2, 2816), control_type=[3])),
    "SD3.5": (of_class(lambda: stable_diffusion_35(double=False)), lambda: SD35),
    "SD3.5, double": (of_class(lambda: stable_diffusion_35(double=True)), lambda: SD35),
    "Flux, XLabs": (of_layout("xlabs_flux_canny_v3", first(1, "double_blocks", "controlnet_blocks")), lambda: flux(3)),
    "Flux, Mistoline": (mistoline, lambda: flux(3)),
    "Flux, InstantX": (of_layout("diffusers_flux_instantx_canny", diffusers_flux), lambda: flux(16)),
    "Flux, union": (
        with_more("diffusers_flux_instantx_canny", diffusers_flux, **{"controlnet_mode_embedder.weight": (10, 3072)}),
        lambda: flux(16, control_type=[2]),
    ),
    "Flux, inpainting": (
        with_more("diffusers_flux_instantx_canny", diffusers_flux, channels=17),
        lambda: flux(17),
    ),
    "SD3, InstantX": (
        of_layout("diffusers_sd3_instantx_canny", first(2, "transformer_blocks", "controlnet_blocks")),
        lambda: latents(2048, 4096),
    ),
    "Qwen, InstantX": (of_layout("diffusers_qwen_instantx_union", diffusers_qwen), qwen),
    "Qwen, inpainting": (with_more("diffusers_qwen_instantx_union", diffusers_qwen, channels=17), lambda: qwen(17)),
    "SDXL, cldm": (of_layout("sdxl_controlnet_cldm_fp16"), lambda: unet(2048, y=random(2, 2816))),
    "SDXL, diffusers": (of_layout("diffusers_sdxl_canny_fp16"), lambda: unet(2048, y=random(2, 2816))),
    "SDXL, mid": (lambda path: made.diffusers(path, made.MID), lambda: unet(2048, y=random(2, 2816))),
    "Cascade, large": (of_class(cascade("large"), torch.bfloat16), lambda: random(1, 16, 8, 8)),
    "HunyuanDiT": (of_layout("hunyuandit_canny"), hunyuan),
}
if hasattr(comfy.ldm.qwen_image.controlnet, "QwenImageFunControlNetModel"):
    FAMILIES["Qwen, Fun"] = (of_class(qwen_fun), qwen)
"""From a family's name to what makes a file of it, and what makes inputs."""
LARGE = {"SDXL, cldm", "SDXL, diffusers", "SDXL, mid", "Cascade, large", "HunyuanDiT"}
"""Whose networks are as large as real ones, since ComfyUI takes no smaller."""
BASES = {"ControlNetSD35": Base, "QwenFunControlNet": QwenBase}
"""Base models, by the class of the controls that read them before they sample."""
