# SPDX-License-Identifier: BSD-3-Clause
"""Networks that people run, stock and on a loaded model, each run in a process of its own whose memory is watched.

support.py save NETWORK FOLDER
support.py stock|spread NETWORK FOLDER RESULT     RESULT.pt gets the outputs, RESULT.json the figures
"""

import contextlib
import json
import os
import sys
import threading
import time
import warnings

import torch
from torch import nn

PASSES = 3
SEED = 23
MIB = 1 << 20


# -- networks ------------------------------------------------------------------------------------------------


def plausible(module):
    """Weights of plausible scale everywhere, zero convolutions included: with zeros the outputs would prove nothing."""
    torch.manual_seed(SEED)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if not parameter.any():
                parameter.normal_(0, 0.05)
            elif name.endswith("bias") or parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return module.eval()


class Network:
    """A network: how it is made, what it is given, and what of its output is compared."""

    prefix = ""

    def make(self):
        raise NotImplementedError

    def save(self, folder):
        plausible(self.make()).save_pretrained(folder)

    def stock(self, folder):
        return self.kind.from_pretrained(folder).eval()

    def meta(self, folder):
        with torch.device("meta"):
            return self.kind.from_config(self.kind.load_config(folder)).eval()

    def inputs(self, turn):
        raise NotImplementedError

    def run(self, module, turn):
        torch.manual_seed(100 + turn)
        output = module(**self.inputs(turn), return_dict=False)
        return [*output[0], output[1]]


class ControlNet(Network):
    """SD1.5's, as it is: fp32, 1.4 GB.

    The batch is two, as guidance has it. A matrix times a single vector is added up in an order that depends on where
    in memory the matrix begins: there the stock module is not even equal to a copy of itself.
    """

    options = {"cross_attention_dim": 768}
    size = 24

    @property
    def kind(self):
        from diffusers import ControlNetModel

        return ControlNetModel

    def make(self):
        return self.kind(**self.options)

    def inputs(self, turn):
        return {
            "sample": torch.randn(2, 4, self.size, self.size),
            "timestep": torch.tensor([900 - 100 * turn]),
            "encoder_hidden_states": torch.randn(2, 77, self.options["cross_attention_dim"]),
            "controlnet_cond": torch.rand(2, 3, 8 * self.size, 8 * self.size),
        }


class SDXL(ControlNet):
    """SDXL's in half its width, and with two of its ten layers in the deepest blocks."""

    options = {
        "block_out_channels": (160, 320, 640),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "transformer_layers_per_block": (1, 2, 2),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    }

    def inputs(self, turn):
        added = {"text_embeds": torch.randn(2, 1280), "time_ids": torch.rand(2, 6) * 1024}
        return {**super().inputs(turn), "added_cond_kwargs": added}


class Adapter(Network):
    """A T2I-Adapter, as SD1.5 uses it."""

    @property
    def kind(self):
        from diffusers import T2IAdapter

        return T2IAdapter

    def make(self):
        return self.kind(in_channels=3, channels=(320, 640, 1280, 1280), num_res_blocks=2, adapter_type="full_adapter")

    def run(self, module, turn):
        torch.manual_seed(100 + turn)
        return module(torch.rand(1, 3, 256, 256))


class Cldm(Network):
    """A small network with the names that ComfyUI's files have, which begin with "control_model."."""

    prefix = "control_model."

    class Module(nn.Module):
        def __init__(self, width=64):
            super().__init__()
            conv = nn.Conv2d
            self.time_embed = nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width))
            self.input_hint_block = nn.Sequential(
                conv(3, 16, 3, padding=1),
                nn.SiLU(),
                conv(16, 32, 3, padding=1, stride=8),
                nn.SiLU(),
                conv(32, width, 3, padding=1),
            )
            self.input_blocks = nn.ModuleList([nn.Sequential(conv(4, width, 3, padding=1))])
            for i in range(1, 6):
                block = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), conv(width, width, 3, padding=1))
                self.input_blocks.append(nn.Sequential(block))
            self.zero_convs = nn.ModuleList(nn.Sequential(conv(width, width, 1)) for _ in range(6))
            self.middle_block = nn.Sequential(
                conv(width, width, 3, padding=1), nn.SiLU(), conv(width, width, 3, padding=1)
            )
            self.middle_block_out = nn.Sequential(conv(width, width, 1))

        def forward(self, x, hint, time):
            embedded = self.time_embed(time)[:, :, None, None]
            outputs = []
            x = self.input_blocks[0](x) + self.input_hint_block(hint)
            for block, zero in zip(self.input_blocks[1:], self.zero_convs[1:]):
                x = x + block(x + embedded)
                outputs.append(zero(x))
            return [self.zero_convs[0](x), *outputs, self.middle_block_out(self.middle_block(x))]

    def file(self, folder):
        return os.path.join(folder, "control.safetensors")

    def save(self, folder):
        from safetensors.torch import save_file

        os.makedirs(folder, exist_ok=True)
        state = plausible(self.Module()).state_dict()
        save_file({self.prefix + name: tensor for name, tensor in state.items()}, self.file(folder))

    def stock(self, folder):
        from safetensors.torch import load_file

        module = self.Module().eval()
        state = {name[len(self.prefix) :]: tensor for name, tensor in load_file(self.file(folder)).items()}
        module.load_state_dict(state)
        return module

    def meta(self, _folder):
        with torch.device("meta"):
            return self.Module().eval()

    def run(self, module, turn):
        torch.manual_seed(100 + turn)
        return module(torch.randn(2, 4, 16, 16), torch.rand(2, 3, 128, 128), torch.randn(2, 32))


NETWORKS = {"sd15": ControlNet, "sdxl": SDXL, "t2i": Adapter, "cldm": Cldm}


# -- memory --------------------------------------------------------------------------------------------------


def anonymous():
    """RssAnon of this process, in bytes."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon:"))


class Watch(contextlib.AbstractContextManager):
    """The largest RssAnon while it is entered, looked at every few milliseconds, over what it was at the beginning."""

    def __enter__(self):
        self.begin = self.peak = anonymous()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self):
        while not self._end.wait(0.004):
            self.peak = max(self.peak, anonymous())

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()
        self.peak = max(self.peak, anonymous())

    @property
    def growth(self):
        return self.peak - self.begin


# -- the processes -------------------------------------------------------------------------------------------


def passes(network, module, after=lambda: None):
    outputs = []
    begin = time.monotonic()
    with torch.no_grad():
        for turn in range(PASSES):
            outputs.append(network.run(module, turn))
            after()
    return outputs, time.monotonic() - begin


def run_stock(network, folder):
    """The stock module: what loading it takes, and what its passes add."""
    with Watch() as loading:
        module = network.stock(folder)
    with Watch() as running:
        outputs, seconds = passes(network, module)
    return outputs, {"load_growth": loading.growth, "pass_growth": running.growth, "seconds": seconds}


def run_spread(network, folder):
    """The module on a model whose weights lie on three devices, 30 % of them where it computes."""
    import distorch2
    from distorch2.torch import attach

    module = network.meta(folder)
    with distorch2.Context() as context:
        context.devices()
        path = network.file(folder) if hasattr(network, "file") else folder
        with Watch() as watch:
            model = context.load(
                path,
                compute_device="cpu",
                virtual_vram_gb=0,
                expert_mode_allocations=os.environ.get("SPREAD", "cpu,30%;opencl:0,35%;opencl:1,*"),
            )
            with attach(module, model, prefix=network.prefix) as attachment:
                windows = []
                outputs, seconds = passes(network, module, lambda: windows.append(attachment.statistics().window_bytes))
                total, last = attachment.statistics(), attachment.statistics(distorch2.Span.LAST_PASS)
                info = attachment.session.info
        shares = {each.device: each.bytes for each in model.statistics.devices}
        figures = {
            "growth": watch.growth,
            "shares": shares,
            "planned_window": model.plan.window_bytes,
            "window": info.window_bytes,
            "window_used": max(windows),
            "pass_bytes": info.pass_bytes,
            "passes": total.passes,
            "streamed": total.bytes,
            "stalls": total.stalls,
            "stall_seconds": total.stall_seconds,
            "last_stalls": last.stalls,
            "last_stall_seconds": last.stall_seconds,
            "acquires": last.acquires,
            "blocks": len(model.blocks),
            "missing": attachment.missing,
            "unused": attachment.unused,
            "variant": distorch2.File(path).variant,
            "seconds": seconds,
        }
        model.unload()
        return outputs, figures


def main(what, name, folder, result=None):
    warnings.simplefilter("ignore")
    torch.set_num_threads(2)
    network = NETWORKS[name]()
    if what == "save":
        network.save(folder)
        return
    outputs, figures = {"stock": run_stock, "spread": run_spread}[what](network, folder)
    torch.save(outputs, f"{result}.pt")
    with open(f"{result}.json", "w", encoding="ascii") as out:
        json.dump(figures, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
