# SPDX-License-Identifier: BSD-3-Clause
"""Runs diffusers' ControlNetModel with its weights on several devices, and says what that cost.

    python diffusers_controlnet.py FOLDER 'cpu,30%;opencl:0,35%;opencl:1,*'

FOLDER is what ControlNetModel.save_pretrained() wrote, or a repository's folder. This needs torch, diffusers and the
package distorch2. The network computes on the processor here; with --compute-device cuda:0 it computes there, and the
other shares reach it while the layer before is computing. In a pipeline of diffusers the attached network takes the
ControlNet's place:

    StableDiffusionControlNetPipeline.from_pretrained(base, controlnet=network)
"""

import argparse
import resource
import time

import distorch2
import torch
from diffusers import ControlNetModel
from distorch2.torch import attach


def inputs_for(network, step, size):
    """Made-up inputs of the right shapes, two of each as guidance has it, on the device and in the dtype of the
    network."""
    config = network.config
    made = {
        "sample": torch.randn(2, config.in_channels, size, size),
        "encoder_hidden_states": torch.randn(2, 77, config.cross_attention_dim),
        "controlnet_cond": torch.rand(2, config.conditioning_channels, 8 * size, 8 * size),
    }
    made = {name: tensor.to(network.device, network.dtype) for name, tensor in made.items()}
    return {**made, "timestep": torch.tensor([900 - 100 * step], device=network.device)}


def run(network, attachment, steps, size):
    """A few steps of what a pipeline does, each a pass through the network."""
    for step in range(steps):
        begin = time.monotonic()
        with torch.no_grad():
            down, mid = network(**inputs_for(network, step, size), return_dict=False)
        seconds = time.monotonic() - begin
        did = attachment.statistics(distorch2.Span.LAST_PASS)
        print(
            f"pass {step + 1}: {seconds:.2f} s, streamed {distorch2.format_size(did.bytes)}, "
            f"stalled {did.stalls} times for {1000 * did.stall_seconds:.0f} ms in all, {len(down) + 1} outputs"
        )


def main():
    parser = argparse.ArgumentParser(description="run a ControlNet with its weights on several devices")
    parser.add_argument("folder")
    parser.add_argument("allocations", help="such as 'cpu,30%%;opencl:0,*'")
    parser.add_argument("--compute-device", default="cpu")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--size", type=int, default=32, help="of the latent image [32]")
    options = parser.parse_args()

    # On the meta device parameters have shapes and no bytes, so that there is no second copy of the model.
    with torch.device("meta"):
        network = ControlNetModel.from_config(ControlNetModel.load_config(options.folder)).eval()

    with (
        distorch2.Context() as context,
        context.load(
            options.folder,
            compute_device=options.compute_device,
            virtual_vram_gb=0,
            expert_mode_allocations=options.allocations,
        ) as model,
    ):
        for device in model.statistics.devices:
            print(f"{device.device:9} {distorch2.format_size(device.bytes)}")
        with attach(network, model) as attachment:
            print(f"window    {distorch2.format_size(attachment.session.info.window_bytes)}")
            run(network, attachment, options.steps, options.size)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory of this process: {distorch2.format_size(peak)}")


if __name__ == "__main__":
    main()
