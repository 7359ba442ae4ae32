# SPDX-License-Identifier: BSD-3-Clause
"""Control networks that diffusers has no class for, made of the blocks that it has, as VideoX-Fun and the dilated ControlNet
for Wan make them: each block is called as theirs are, and stands under the name that it has in the published files.
"""
import torch
from diffusers.models.controlnets.controlnet_z_image import ZImageControlNetModel
from diffusers.models.transformers.transformer_flux2 import Flux2TransformerBlock
from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformerBlock
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed, WanTimeTextImageEmbedding, WanTransformerBlock
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from torch import nn


def zeros(*shape):
    return torch.zeros(shape, dtype=torch.float16, device="meta")


class Fun(nn.Module):
    """`control_img_in`, then blocks of which the first has before_proj, and each after_proj."""

    def __init__(self, blocks, dim, channels, make, name):
        super().__init__()
        self.name, self.dim = name, dim
        made = nn.ModuleList(make() for _ in range(blocks))
        for i, block in enumerate(made):
            if i == 0:
                block.before_proj = nn.Linear(dim, dim)
            block.after_proj = nn.Linear(dim, dim)
        self.add_module(name, made)
        self.control_img_in = nn.Linear(channels, dim)

    def run(self, hint, **more):
        control = self.control_img_in(hint)
        for block in getattr(self, self.name):
            if hasattr(block, "before_proj"):
                control = block.before_proj(control)
            text, control = block(hidden_states=control, **more)
            more["encoder_hidden_states"] = text
            block.after_proj(control)


class QwenFun(Fun):
    def __init__(self, blocks=5, channels=132):
        super().__init__(blocks, 256, channels, lambda: QwenImageTransformerBlock(256, 2, 128), "control_blocks")

    def call(self):
        angles = tuple(torch.zeros((n, 64), dtype=torch.complex64, device="meta") for n in (64, 8))
        self.run(zeros(1, 64, self.control_img_in.in_features), encoder_hidden_states=zeros(1, 8, 256),
                 encoder_hidden_states_mask=None, temb=zeros(1, 256), image_rotary_emb=angles)


class Flux2Fun(Fun):
    def __init__(self, blocks=4, channels=260):
        super().__init__(blocks, 256, channels, lambda: Flux2TransformerBlock(256, 2, 128), "control_transformer_blocks")

    def call(self):
        self.run(zeros(1, 64, self.control_img_in.in_features), encoder_hidden_states=zeros(1, 8, 256),
                 temb_mod_img=zeros(1, 1, 6 * 256), temb_mod_txt=zeros(1, 1, 6 * 256),
                 image_rotary_emb=(zeros(72, 128), zeros(72, 128)))


class WanControl(nn.Module):
    """The dilated ControlNet for Wan 2.1 and 2.2."""

    def __init__(self, blocks=12, dim=256):
        super().__init__()
        self.control_encoder = nn.ModuleList(
            nn.Sequential(nn.Conv3d(into, out, kernel, stride, padding=1), nn.GELU(approximate="tanh"), nn.GroupNorm(2, out))
            for into, out, kernel, stride in ((3, 16, 3, (1, 2, 2)), (16, 24, 3, 2), (24, 24, 3, 2)))
        self.patch_embedding = nn.Conv3d(16 + 24, dim, (1, 2, 2), (1, 2, 2))
        self.rope = WanRotaryPosEmbed(128, (1, 2, 2), 64)
        self.condition_embedder = WanTimeTextImageEmbedding(dim, 256, 6 * dim, 64)
        self.blocks = nn.ModuleList(WanTransformerBlock(dim, 2 * dim, 2, cross_attn_norm=True) for _ in range(blocks))
        self.controlnet_blocks = nn.ModuleList(nn.Linear(dim, 2 * dim) for _ in range(blocks))

    def call(self):
        hint = zeros(1, 3, 9, 64, 64)
        for part in self.control_encoder:
            hint = part(hint)
        latent = zeros(1, 16, *hint.shape[2:])
        angles = self.rope(latent)
        hidden = self.patch_embedding(torch.cat([latent, hint], dim=1)).flatten(2).transpose(1, 2)
        _, times, text, _ = self.condition_embedder(zeros(1), zeros(1, 8, 64), None)
        for block, tap in zip(self.blocks, self.controlnet_blocks):
            hidden = block(hidden, text, times.unflatten(1, (6, -1)), angles)
            tap(hidden)


class ZImage(nn.Module):
    """ZImageControlNetModel reads much of the network that it controls; its own is what is in its files."""

    def __init__(self, **options):
        super().__init__()
        shape = {"dim": 256, "n_heads": 2, "n_kv_heads": 2}
        base = ZImageTransformer2DModel(n_layers=2, cap_feat_dim=64, axes_dims=(32, 48, 48), **shape)
        self.control = ZImageControlNetModel(control_in_dim=33 if options.get("add_control_noise_refiner") else 16,
                                             control_refiner_layers_places=[0, 1], **shape, **options)
        self.own = set(self.control.state_dict())
        ZImageControlNetModel.from_transformer(self.control, base)

    def state_dict(self):
        return {name: value for name, value in self.control.state_dict().items() if name in self.own}

    def call(self):
        latent, hint = zeros(16, 1, 16, 16), zeros(self.control.control_in_dim, 1, 16, 16)
        self.control([latent], zeros(1), [zeros(8, 64)], [hint])
