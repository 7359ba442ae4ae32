# SPDX-License-Identifier: BSD-3-Clause
"""Nodes for tests alone: small networks and conditionings made up on the spot, and latents that are handed out bit by
bit. ComfyUI imports this as any node pack."""

import base64
import gc
import os
import sys
import time

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.supported_models_base
import comfy.utils
import torch

try:
    from aiohttp import web
    from server import PromptServer

    ROUTES = PromptServer.instance.routes
except (ImportError, AttributeError):  # a test that makes files, and has no server
    ROUTES = None

SMALL = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 64,
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 2],
    "num_head_channels": 64,
    "num_heads": -1,
    "use_spatial_transformer": True,
    "transformer_depth": [1, 1],
    "transformer_depth_output": [1, 1, 1, 1],
    "transformer_depth_middle": 1,
    "context_dim": 64,
    "use_linear_in_transformer": False,
}
"""A UNet such as SD1.5's, and as a ControlNet of its kind has it, that takes a second for some steps."""


def filled(module, seed=11):
    """A module with weights of sane scale, the same ones each time."""
    generator = torch.Generator().manual_seed(seed)
    for _, each in sorted(module.named_parameters()):
        fan = max(each[0].numel(), 1) if each.dim() > 1 else 4
        each.data = (torch.randn(each.shape, generator=generator) * fan**-0.5).to(each.dtype)
    return module


class Mixer(torch.nn.Module):
    """In the place of a UNet: takes any control, and lets each number of it have a part in the result."""

    def __init__(self, device=None, operations=None, dtype=None, **_):
        super().__init__()
        self.dtype = dtype
        self.scale = operations.Linear(4, 4, device=device, dtype=dtype)

    def forward(self, x, timesteps, context=None, y=None, control=None, transformer_options=None, **_):
        out = self.scale(x.movedim(1, -1)).movedim(-1, 1)
        for key in sorted(control or {}):
            for each in control[key]:
                if each is not None:
                    out = out + self.seen(each.float(), out)
        return out

    @staticmethod
    def seen(each, like):
        flat = each.reshape(each.shape[0], -1)
        waves = torch.sin(torch.arange(flat.shape[1], dtype=torch.float32) * 0.37)
        pooled = torch.nn.functional.adaptive_avg_pool1d((flat * waves).unsqueeze(1), like[0].numel())
        return torch.tanh(pooled.reshape(-1, *like.shape[1:]).to(like))


class Pooled(comfy.model_base.BaseModel):
    """A model that hands a pooled conditioning on, as SDXL's does."""

    def encode_adm(self, **conditions):
        return conditions["pooled_output"]


class Model:
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "make"
    CATEGORY = "distorch2/tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"kind": (["unet", "mixer", "pooled mixer"],)}}

    def make(self, kind):
        # Like any loader's weights: inference mode's tensors are others.
        with torch.inference_mode(False), torch.no_grad():
            config = comfy.supported_models_base.BASE(dict(SMALL))
            config.latent_format = comfy.latent_formats.SD15()
            config.set_inference_dtype(torch.float32, None)
            family = Pooled if kind == "pooled mixer" else comfy.model_base.BaseModel
            network = comfy.model_base.UNetModel if kind == "unet" else Mixer
            model = filled(family(config, device=torch.device("cpu"), unet_model=network)).eval()
        device = comfy.model_management.get_torch_device()
        return (comfy.model_patcher.ModelPatcher(model, load_device=device, offload_device=torch.device("cpu")),)


class Conditioning:
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "make"
    CATEGORY = "distorch2/tests"

    @classmethod
    def INPUT_TYPES(cls):
        numbers = {name: ("INT", {"default": value, "min": 0, "max": 1 << 20}) for name, value in cls.NUMBERS.items()}
        return {"required": numbers}

    NUMBERS = {"seed": 1, "width": 64, "pooled": 0}

    def make(self, seed, width, pooled):
        generator = torch.Generator().manual_seed(seed)
        more = {"pooled_output": torch.randn(1, pooled, generator=generator)} if pooled else {}
        return ([[torch.randn(1, 77, width, generator=generator), more]],)


class Hint:
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "make"
    CATEGORY = "distorch2/tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"seed": ("INT", {"default": 1}), "size": ("INT", {"default": 64})}}

    def make(self, seed, size):
        return (torch.rand(1, size, size, 3, generator=torch.Generator().manual_seed(seed)),)


class Latents:
    """Hands out the bits of latents."""

    RETURN_TYPES = ()
    FUNCTION = "show"
    OUTPUT_NODE = True
    CATEGORY = "distorch2/tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"samples": ("LATENT",)}}

    def show(self, samples):
        values = samples["samples"].contiguous()
        shape = "x".join(map(str, values.shape))
        return {"ui": {"latents": [f"{values.dtype} {shape}", base64.b64encode(values.numpy().tobytes()).decode()]}}


class Wrapped:
    """A model that has another's patches: what wraps its calls, and what changes its attention."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "wrap"
    CATEGORY = "distorch2/tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",)}}

    def wrap(self, model):
        model = model.clone()
        model.set_model_attn2_patch(lambda query, key, value, _options: (query, key * 1.25, value))
        model.set_model_unet_function_wrapper(
            lambda function, given: function(given["input"] * 0.75, given["timestep"], **given["c"])
        )
        return (model,)


class Squeeze:
    """Asks spread networks for a part of what they have on the device that computes, as memory management does."""

    RETURN_TYPES = ("CONDITIONING", "CONDITIONING")
    FUNCTION = "squeeze"
    CATEGORY = "distorch2/tests"

    @classmethod
    def INPUT_TYPES(cls):
        both = {"positive": ("CONDITIONING",), "negative": ("CONDITIONING",)}
        return {"required": {**both, "share": ("FLOAT", {"min": 0.0, "max": 1.0, "step": 0.01})}}

    def squeeze(self, positive, negative, share):
        models = comfy.model_management.current_loaded_models
        for each in list(models):
            if share and each.model is not None and hasattr(each.model, "network"):
                before = each.model.loaded_size()
                if each.model_unload(share * before):
                    models.remove(each)
                assert each.model.loaded_size() < before
        return positive, negative


class After:
    """Says how many spread networks are loaded when a control was."""

    RETURN_TYPES = ()
    FUNCTION = "show"
    OUTPUT_NODE = True
    CATEGORY = "distorch2/tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"control": ("CONTROL_NET",)}}

    def show(self, control):
        return {"ui": {"models": [len(loaded())]}}


def _models():
    machine = next((each for name, each in sys.modules.items() if name.endswith("distorch2.machine")), None)
    return [] if machine is None else machine.context().models


def loaded():
    """The names of the models that are loaded."""
    return [model.name for model in _models()]


async def _loaded(_request):
    gc.collect()
    return web.json_response(loaded())


async def _held(_request):
    """What spread networks have on the device that computes, and would have: as memory management knows it."""
    models = [each.model for each in comfy.model_management.current_loaded_models if hasattr(each.model, "network")]
    return web.json_response([[each.loaded_size(), each.model_size()] for each in models])


async def _shares(_request):
    """From a device to the bytes that the models which are loaded take there, windows included."""
    found = {}
    for model in _models():
        for share in model.plan.shares:
            found[share.device] = found.get(share.device, 0) + share.cost_bytes
        if all(share.device != model.plan.compute_device for share in model.plan.shares):
            found[model.plan.compute_device] = found.get(model.plan.compute_device, 0) + model.plan.window_bytes
    return web.json_response(found)


_stands = []
"""How far the load is that stands still, and of how much."""


async def _stand_still(_request):
    """The next load stands still in its middle, as one of a slow file seems to, until it is interrupted."""
    _stands.clear()
    real = comfy.utils.ProgressBar.update_absolute

    def update_absolute(bar, value, total=None, *more):
        real(bar, value, total, *more)
        if not _stands and 0 < value < (total or 0):
            comfy.utils.ProgressBar.update_absolute = real
            _stands.extend((value, total))
            until = time.monotonic() + 120
            while not comfy.model_management.processing_interrupted() and time.monotonic() < until:
                time.sleep(0.02)

    comfy.utils.ProgressBar.update_absolute = update_absolute
    return web.json_response([])


async def _where(_request):
    return web.json_response(_stands)


def _take_the_processor_for_a_gpu():
    """When models are loaded: by what --lowvram and its like say of memory."""
    from comfy.cli_args import args

    management = comfy.model_management
    states = {"highvram": "HIGH_VRAM", "lowvram": "LOW_VRAM", "novram": "NO_VRAM"}
    state = next((states[option] for option in states if getattr(args, option)), "NORMAL_VRAM")
    fakes = {"is_device_cpu": lambda _: False, "vram_state": getattr(management.VRAMState, state)}
    real = management.load_models_gpu

    def load_models_gpu(*given, **named):
        kept = {name: getattr(management, name) for name in fakes}
        for name, fake in fakes.items():
            setattr(management, name, fake)
        try:
            return real(*given, **named)
        finally:
            for name, each in kept.items():
                setattr(management, name, each)

    management.load_models_gpu = load_models_gpu


if ROUTES is not None and os.environ.get("DISTORCH2_TESTS_AS_GPU"):
    _take_the_processor_for_a_gpu()
if ROUTES is not None:
    ROUTES.get("/distorch2-tests/loaded")(_loaded)
    ROUTES.get("/distorch2-tests/held")(_held)
    ROUTES.get("/distorch2-tests/shares")(_shares)
    ROUTES.post("/distorch2-tests/stand-still")(_stand_still)
    ROUTES.get("/distorch2-tests/where")(_where)

NODE_CLASS_MAPPINGS = {
    f"DisTorch2Test{each.__name__}": each for each in (Model, Conditioning, Hint, Latents, Wrapped, Squeeze, After)
}
