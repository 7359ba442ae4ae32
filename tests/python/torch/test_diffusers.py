# SPDX-License-Identifier: BSD-3-Clause
"""Networks that people run compute with weights that lie on other devices, and their outputs are the stock program's,
bit for bit. The memory that they take is held against the plan, with the stock program's beside it."""

import json
import os
import subprocess
import sys

import distorch2
import support
import tap
import torch

MIB = 1 << 20
STAGING = 64 * MIB  # the default of a load
SLACK = 32 * MIB


def process(*arguments):
    """One of support.py's processes."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "support.py")
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def figures_of(result):
    with open(f"{result}.json", encoding="ascii") as file:
        return json.load(file)


def mib(count):
    return f"{count / MIB:.1f} MiB"


def show(name, stock, spread):
    shares = ", ".join(f"{device} {mib(count)}" for device, count in spread["shares"].items())
    tap.diag(f"{name}: {shares}; window {mib(spread['window'])}, of which {mib(spread['window_used'])} were used")
    tap.diag(f"{name}: a pass streams {mib(spread['pass_bytes'])} in {spread['acquires']} of {spread['blocks']} blocks")
    tap.diag(
        f"{name}: the last pass stalled {spread['last_stalls']} times, {spread['last_stall_seconds']:.3f} s; "
        f"{support.PASSES} passes took {spread['seconds']:.2f} s, the stock module's {stock['seconds']:.2f} s"
    )


def check_memory(name, stock, spread):
    """RssAnon over load and passes, less PoCL's memory and what the stock module's own passes add."""
    elsewhere = sum(count for device, count in spread["shares"].items() if device.startswith("opencl"))
    own = spread["growth"] - elsewhere - stock["pass_growth"]
    limit = spread["shares"]["cpu"] + spread["window"] + STAGING + SLACK
    tap.diag(
        f"{name}: RssAnon grew by {mib(spread['growth'])}; less opencl:* {mib(elsewhere)} and the stock module's "
        f"passes {mib(stock['pass_growth'])}: {mib(own)}, of {mib(limit)} allowed"
    )
    tap.diag(
        f"{name}: the stock module's RssAnon grew by {mib(stock['load_growth'])} to load, "
        f"and by {mib(stock['pass_growth'])} in its passes"
    )
    assert own <= limit


def compare(name, memory):
    """Runs a network both ways, and compares."""
    with distorch2.Context() as context:
        if "opencl:1" not in [device.name for device in context.devices()]:
            raise tap.Skip("there are no two OpenCL devices")
    folder = tap.scratch(name)
    process("save", name, folder)
    process("stock", name, folder, f"{folder}/stock")
    process("spread", name, folder, f"{folder}/spread")
    stock, spread = figures_of(f"{folder}/stock"), figures_of(f"{folder}/spread")
    show(name, stock, spread)
    expected, got = torch.load(f"{folder}/stock.pt"), torch.load(f"{folder}/spread.pt")
    assert len(expected) == len(got) == support.PASSES
    for one, other in zip(expected, got):
        assert len(one) == len(other) > 1
        for stock_tensor, tensor in zip(one, other):
            assert stock_tensor.any() and torch.isfinite(stock_tensor).all(), "the output proves nothing"
            assert torch.equal(stock_tensor, tensor), f"{name}: outputs differ"
    assert not torch.equal(expected[0][0], expected[1][0])
    tap.diag(f"{name}: {support.PASSES} passes of {len(expected[0])} outputs are equal, bit for bit")
    tap.count(support.PASSES * len(expected[0]), "outputs of networks, equal to the stock program's")
    assert spread["missing"] == spread["unused"] == []
    assert spread["passes"] == support.PASSES
    assert spread["window_used"] <= spread["window"] <= spread["planned_window"]
    assert min(spread["shares"].values()) > 0 and len(spread["shares"]) == 3
    if memory:
        check_memory(name, stock, spread)
    for file in os.listdir(folder):
        os.unlink(os.path.join(folder, file))


def test_the_controlnet_of_sd15_in_fp32():
    compare("sd15", memory=True)


def test_the_controlnet_of_sdxl_cut_to_size():
    compare("sdxl", memory=True)


def test_a_t2i_adapter():
    compare("t2i", memory=True)


def test_the_names_of_comfyui():
    compare("cldm", memory=False)


def tiny_pipeline(controlnet):
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionControlNetPipeline, UNet2DConditionModel

    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=32,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        norm_num_groups=8,
        attention_head_dim=4,
    )
    vae = AutoencoderKL(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=8,
    )
    pipeline = StableDiffusionControlNetPipeline(
        vae=vae,
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        controlnet=controlnet,
        scheduler=DDIMScheduler(beta_start=0.00085, beta_end=0.012, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def image_of(pipeline):
    torch.manual_seed(2)
    inputs = {"prompt_embeds": torch.randn(1, 7, 32), "negative_prompt_embeds": torch.randn(1, 7, 32)}
    return pipeline(
        **inputs,
        image=torch.rand(1, 3, 64, 64),
        num_inference_steps=4,
        generator=torch.Generator().manual_seed(3),
        controlnet_conditioning_scale=0.8,
        output_type="pt",
    ).images


def test_a_whole_pipeline():
    from diffusers import ControlNetModel

    options = {
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "cross_attention_dim": 32,
        "norm_num_groups": 8,
        "attention_head_dim": 4,
        "conditioning_embedding_out_channels": (16, 32),
    }
    folder = tap.scratch("tiny")
    support.plausible(ControlNetModel(**options)).save_pretrained(folder)
    stock = ControlNetModel.from_pretrained(folder).eval()
    expected = image_of(tiny_pipeline(stock))
    with torch.device("meta"):
        network = ControlNetModel.from_config(ControlNetModel.load_config(folder)).eval()
    with distorch2.Context() as context:
        if "opencl:1" not in [device.name for device in context.devices()]:
            raise tap.Skip("there are no two OpenCL devices")
        allocations = "cpu,30%;opencl:0,35%;opencl:1,*"
        with context.load(folder, compute_device="cpu", expert_mode_allocations=allocations) as model:
            from distorch2.torch import attach

            with attach(network, model) as attachment:
                assert network.device == torch.device("cpu") and network.dtype == torch.float32
                pipeline = tiny_pipeline(network)
                assert pipeline.to("cpu") is pipeline and pipeline.device == torch.device("cpu")
                assert torch.equal(image_of(pipeline), expected)
                assert attachment.statistics().passes == 4
                # Guidance, several ControlNets of which one is ours, and a second image.
                with torch.no_grad():
                    for parameter in stock.parameters():
                        parameter.mul_(0.5)
                pipeline = tiny_pipeline([network, stock])
                torch.manual_seed(2)
                two = pipeline(
                    prompt_embeds=torch.randn(1, 7, 32),
                    negative_prompt_embeds=torch.randn(1, 7, 32),
                    image=[torch.rand(1, 3, 64, 64)] * 2,
                    num_inference_steps=2,
                    generator=torch.Generator().manual_seed(3),
                    output_type="pt",
                ).images
                assert torch.isfinite(two).all() and not torch.equal(two, expected)
    assert {parameter.device.type for parameter in network.parameters()} == {"meta"}
    without = image_of(tiny_pipeline(stock))
    assert not torch.equal(without, expected), "the ControlNet had no influence"


if __name__ == "__main__":
    tap.run_tests()
