# SPDX-License-Identifier: BSD-3-Clause
"""What a network as large as a real one costs beside the stock loader: how long a load takes when the file is warm, and
what the server has in memory at most."""

import gc
import os
import time

import checkout as here
import tap

here.start()

import comfy.controlnet
import comfy.utils
import torch
import workflows as flow
from safetensors.torch import save_file
from serving import Server, latents

LAYOUT = "control_v11p_sd15_canny_fp16"
RESIDENT, DONORS, SPREAD = "cpu,*", "opencl:0,50%;opencl:1,*", "cpu,30%;opencl:0,35%;opencl:1,*"
TURNS = 9
MIB = 1 << 20
NODES = here.node_folder()
import distorch2_nodes.machine as machine  # noqa: E402


def two_donors():
    if "opencl:1" not in machine.donor_names():
        raise tap.Skip("there are no two OpenCL devices")


def table(title, columns, rows):
    tap.diag(f"{title:36}" + "".join(f"{each:>14}" for each in columns))
    for name, row in rows.items():
        tap.diag(f"{name:36}" + "".join(f"{each:>14}" for each in row))


# -- a load --


def loads(path):
    """Ways to load a file, by what they are called."""
    loader = NODES.NODE_CLASS_MAPPINGS["DisTorch2ControlNetLoader"]()
    request = {"compute_device": "cpu", "virtual_vram_gb": 0.0, "donor_device": "cpu", "eject_models": True}
    ways = {"stock": lambda: comfy.controlnet.load_controlnet(path)}
    for allocations in (RESIDENT, DONORS, SPREAD):
        named = {**request, "expert_mode_allocations": allocations}
        ways[allocations] = lambda named=named: loader.load_controlnet(os.path.basename(path), **named)["result"][0]
    return ways


def seconds_of(ways):
    """Of each way, in turns after a first: seconds on the clock, and of the processor, the quickest first."""
    found = {name: ([], []) for name in ways}
    for turn in range(1 + TURNS):
        for name in ways if turn % 2 else reversed(ways):
            begin, worked = time.perf_counter(), time.process_time()
            control = ways[name]()
            spent = time.perf_counter() - begin, time.process_time() - worked
            del control
            gc.collect()
            if turn:
                for each, seconds in zip(found[name], spent):
                    each.append(seconds)
    return {name: [sorted(each) for each in both] for name, both in found.items()}


def test_a_warm_load_takes_no_longer_than_stock():
    two_donors()
    state, rows, slower = comfy.utils.load_torch_file(tap.layout(LAYOUT)), {}, []
    for name, dtype in (("fp16", torch.float16), ("fp32", torch.float32)):
        path = f"{here.models()}/{name}.safetensors"
        save_file({key: each.to(dtype) for key, each in state.items()}, path)
        found = seconds_of(loads(path))
        os.unlink(path)
        for way, (clock, worked) in found.items():
            rows[f"{name} {way}"] = [f"{each:.2f}" for each in (clock[TURNS // 2], clock[0], worked[TURNS // 2])]
            stock = found["stock"][0]
            if min(clock[i] / stock[i] for i in (0, TURNS // 2)) > 1.1:  # a busy machine spoils either, seldom both
                slower.append(f"{name} {way}")
    table(f"{sum(each.numel() for each in state.values())} weights, warm", ("s", "quickest", "processor"), rows)
    assert not slower, slower


# -- the server's memory --


def measured(who, path, allocation):
    """A server's peak in one workflow, what its networks have on each device, and the latents."""
    folder = tap.scratch(f"memory-{who}/models/controlnet")
    os.makedirs(folder)
    os.symlink(path, f"{folder}/real.safetensors")
    comfy = Server(folder=f"memory-{who}")
    try:
        comfy.forget_peak()
        ours = allocation and {"expert_mode_allocations": allocation}
        outputs = comfy.run(flow.plain("real.safetensors", ours, kind="mixer", width=768))
        return comfy.peak(), comfy.get("/distorch2-tests/shares"), latents(outputs)
    finally:
        comfy.stop()


def test_the_servers_memory():
    """Its peak with weights on donors is stock's, less stock's parameters, plus our host shares, and 100 MiB. These
    donors are OpenCL devices on the processor: what they hold is the server's as well, and is no host share."""
    two_donors()
    path = tap.layout(LAYOUT)
    parameters = 2 * os.path.getsize(path) / MIB  # half precision, which is single on a processor
    stock, nothing, expected = measured("stock", path, None)
    assert nothing == {}
    rows, above = {"stock": [f"{stock:.0f}", f"{parameters:.0f}", "", "", ""]}, []
    for who, allocation in (("donors", DONORS), ("spread", SPREAD)):
        peak, shares, found = measured(who, path, allocation)
        assert found == expected, "latents differ"
        host = shares["cpu"] / MIB
        donors = sum(shares.values()) / MIB - host
        assert donors > 0.6 * parameters, shares
        most = stock - parameters + host + 100
        rows[allocation] = [f"{each:.0f}" for each in (peak, host, donors, peak - donors, most)]
        if peak - donors > most:
            above.append(allocation)
    table("a server's memory, MiB", ("peak", "host share", "on donors", "without those", "at most"), rows)
    assert not above, above


if __name__ == "__main__":
    tap.run_tests()
