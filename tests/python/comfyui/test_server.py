# SPDX-License-Identifier: BSD-3-Clause
"""ComfyUI's own server: workflows are queued over HTTP with the stock loader and with ours, and their latents are
equal, bit for bit."""

import asyncio
import json
import os
import time

import checkout as here
import tap

here.start()

import aiohttp
import made
import serving
import torch
import workflows as flow
from serving import Failed, Refused, Server, latents

PUBLISHED = ("DisTorch2ControlNetLoader", "ControlNetLoaderDisTorch2MultiGPU")
SPREAD = "cpu,30%;opencl:0,35%;opencl:1,*"
torch.set_num_threads(2)


def files(folder):
    """The ControlNets that all scenarios use."""
    made.small(f"{folder}/small.safetensors")
    made.small(f"{folder}/other.safetensors", seed=12)
    made.small(f"{folder}/small.pth", dtype=torch.float32)
    made.small(f"{folder}/small_shuffle.safetensors", seed=14)
    made.adapter(f"{folder}/t2i.safetensors")
    made.union(f"{folder}/union.safetensors")
    made.lora(f"{folder}/lora.safetensors")
    made.difference(f"{folder}/difference.pth")
    for place in (f"{folder}/{SUBFOLDER}", f"{folder}/../../{ELSEWHERE}"):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.link(f"{folder}/small.safetensors", place)


SUBFOLDER = "a folder of SD 1.5/Größe, 小 (1).safetensors"
ELSEWHERE = "other models/nets/elsewhere.safetensors"


def named_elsewhere(folder):
    """The file by which ComfyUI learns of more folders."""
    path = tap.scratch(f"{folder}/extra.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"others:\n  base_path: {tap.scratch(folder)}/other models\n  controlnet: nets\n")
    return path


_servers = {}


def server(*options, **more):
    """The server with these options, started when it is first needed."""
    key = (options, *sorted(more))
    if key not in _servers:
        folder = f"server-{len(_servers)}"
        models = tap.scratch(f"{folder}/models/controlnet")
        os.makedirs(models)
        files(models)
        begin = time.monotonic()
        extra = ("--extra-model-paths-config", named_elsewhere(folder))
        _servers[key] = Server(*options, *extra, folder=folder, **more)
        tap.diag(f"server {' '.join(options) or 'of its own options'}: answers after {time.monotonic() - begin:.0f} s")
        donors = _servers[key].get("/object_info/DisTorch2ControlNetLoader")
        donors = donors["DisTorch2ControlNetLoader"]["input"]["optional"]["donor_device"][0]
        if "opencl:1" not in donors:
            raise tap.Skip("there are no two OpenCL devices")
    return _servers[key]


def difference(one, other):
    """How far latents are apart, for people."""
    values = [torch.frombuffer(bytearray(bits), dtype=torch.float32) for bits in (one, other)]
    return f"max abs {float((values[0] - values[1]).abs().max())} of {float(values[0].abs().max())}"


def equal(name, workflow, *, allocations=(SPREAD, "opencl:0,*"), options=(), of=server, forgets=True, **more):
    """A workflow gives the stock loader's latents with ours, for each of some allocations. ``forgets``: ComfyUI keeps
    nothing of it when it runs another."""
    comfy = of(*options)
    expected = latents(comfy.run(workflow(ours=None, **more)))
    assert expected, "nothing was sampled"
    for allocation in allocations:
        got = latents(comfy.run(workflow(ours={"expert_mode_allocations": allocation}, **more)))
        assert [shape for shape, _ in got] == [shape for shape, _ in expected]
        for (_, one), (_, other) in zip(expected, got):
            assert one == other, f"{name}, {allocation}: {difference(one, other)}"
    without = latents(comfy.run(_without_control(workflow(ours=None, **more))))
    assert [bits for _, bits in without] != [bits for _, bits in expected], "the control changes nothing"
    if forgets and "--cache-none" not in options:  # with that one ComfyUI looks after its models later
        assert forgotten(comfy), f"{name}: it is loaded still"
    tap.diag(f"equal: {name}, {len(expected)} of latents, {len(allocations)} allocations")
    tap.count(len(expected) * len(allocations), "latents of a ComfyUI server, equal to the stock loader's")


def _without_control(workflow):
    """The same workflow with controls of no strength: what would be equal too if a control did nothing."""
    for node in workflow.values():
        if "strength" in node["inputs"] and "control_net" in node["inputs"]:
            node["inputs"]["strength"] = 0.0
    return workflow


# -- what is equal --


def test_a_control_for_both_conditions():
    for file in ("small.safetensors", "small.pth", "small_shuffle.safetensors"):
        equal(file, flow.plain, file=file)


def test_batches():
    equal("batch of 3", flow.plain, file="small.safetensors", batch=3)


def test_a_part_of_the_steps_and_strengths():
    equal("ranges", flow.ranges, file="small.safetensors")


def test_one_condition_alone():
    equal("the old node, with cfg 1 and 5", flow.old_apply, file="small.safetensors")


def test_chains():
    equal("chain of two", flow.chain, files=["small.safetensors", "other.safetensors"])
    equal("chain of three, one of them twice", flow.chain, files=["small.safetensors", "other.safetensors"] * 2)
    equal("one file in two loaders", flow.two_loaders, file="small.safetensors")


def test_adapters():
    equal("T2I adapter", flow.plain, file="t2i.safetensors", kind="mixer")
    equal("T2I adapter and ControlNet", flow.chain, files=["t2i.safetensors", "small.safetensors"])


def test_two_sizes_in_one_workflow():
    equal("two sizes", flow.two_sizes, file="small.safetensors")


def test_patches_of_other_nodes():
    equal("patches of others", flow.patched, file="small.safetensors")


def test_kinds_of_a_union():
    equal("SetUnionControlNetType", flow.union, file="union.safetensors", allocations=(SPREAD,))


def test_files_wherever_comfy_finds_them():
    for file in (SUBFOLDER, "elsewhere.safetensors"):
        equal(file, flow.plain, file=file, allocations=(SPREAD,))


def test_what_is_not_spread():
    for file, workflow in (("lora.safetensors", flow.plain), ("difference.pth", flow.difference)):
        equal(file, workflow, file=file, allocations=(SPREAD,))
        assert f"{file} is not spread, and loaded as ComfyUI does it" in server().said()
    equal("with a base model at hand", flow.difference, file="small.safetensors", allocations=(SPREAD,))
    assert "small.safetensors is not spread" not in server().said()


def test_memory_that_is_asked_back_between_samplings():
    equal("asked for 1, 50 and 100 per cent", flow.squeezed, file="small.safetensors")


def test_half_precision_without_a_cache():
    for file in ("small.safetensors", "small.pth"):
        equal(f"{file} --fp16-unet", flow.plain, file=file, options=("--fp16-unet", "--cache-none"))
    chain = ["small.safetensors", "other.safetensors"]
    equal("chain --fp16-unet", flow.chain, files=chain, options=("--fp16-unet", "--cache-none"))


# -- memory management, and what goes wrong --


def loaded(comfy):
    """How many spread networks are there now."""
    return len(comfy.get("/distorch2-tests/loaded"))


def forgotten(comfy):
    """What the last workflow loaded is gone: the next one has nothing of it."""
    workflow = flow.Workflow()
    workflow.add("DisTorch2Devices")
    comfy.run(workflow)
    return soon(lambda: loaded(comfy) == 0)


def soon(condition):
    """Whether something becomes true: the server may be in the middle of collecting what is in cycles."""
    until = time.monotonic() + 30
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


def ours(allocation=SPREAD, **more):
    return {"expert_mode_allocations": allocation, **more}


def test_what_is_unloaded_is_loaded_again():
    comfy = server()
    expected = latents(comfy.run(flow.plain("small.safetensors", None, seed=21)))
    assert latents(comfy.run(flow.plain("small.safetensors", ours(), seed=21))) == expected
    assert loaded(comfy) > 0
    comfy.free()
    assert soon(lambda: loaded(comfy) == 0), "it is loaded after /free"
    assert latents(comfy.run(flow.plain("small.safetensors", ours(), seed=21))) == expected
    comfy.run(flow.plain("small.safetensors", ours(), seed=22))
    assert latents(comfy.run(flow.plain("small.safetensors", ours(), seed=21))) == expected


def test_other_allocations_do_not_leave_the_first_behind():
    comfy = server()
    comfy.free()
    for share in (10, 20, 30, 40, 50):
        comfy.run(flow.plain("small.safetensors", ours(f"cpu,{share}%;opencl:0,*", eject_models=False), seed=share))
        assert loaded(comfy) <= 1, "an output that was replaced is loaded still"


def test_eject_models_leaves_one():
    comfy = server()
    for file in ("small.safetensors", "other.safetensors"):
        workflow = flow.Workflow()
        control = workflow.control(file, ours("opencl:1,*"))
        workflow.test("After", control=control)
        (said,) = (each for each in comfy.run(workflow).values() if "models" in each)
        assert said["models"] == [1], (said, comfy.said()[-1500:])


def test_what_is_wrong_is_said_at_its_input():
    comfy = server()
    wrong = {
        "expert_mode_allocations": ("cpu,30%;opencl:77,*", "opencl:77"),
        "donor_device": ("opencl:77", "opencl:77"),
        "compute_device": ("cuda:5", "cuda:5"),
        "virtual_vram_gb": (400.0, "128"),
    }
    for name, (value, said) in wrong.items():
        with tap.raises(Refused) as caught:
            comfy.queue(flow.plain("small.safetensors", {name: value}))
        assert caught and list(caught[0].inputs) == [name] and said in caught[0].inputs[name], (name, caught[0].inputs)
    with tap.raises(Refused) as caught:
        comfy.queue(flow.plain("gone.safetensors", ours()))
    assert list(caught[0].inputs) == ["control_net_name"]
    for grammar in ("cpu,,30%", "cpu,30", "cpu,*;opencl:0,*", "cpu", ";;,", "cpu,-3%", "cpu,3zb", "*"):
        try:
            comfy.queue(flow.plain("small.safetensors", ours(grammar)))
        except Refused as refused:
            caught = [refused]
        else:
            raise AssertionError(f"{grammar} was taken")
        assert list(caught[0].inputs) == ["expert_mode_allocations"], (grammar, caught[0].inputs)
        assert "\n" not in caught[0].inputs["expert_mode_allocations"]


def test_who_waits_sees_how_far_it_is():
    comfy = server()
    comfy.free()
    loads = flow.plain("small.safetensors", ours("opencl:0,*"), seed=77)
    (loader,) = (number for number, node in loads.items() if node["class_type"] == "DisTorch2ControlNetLoader")
    messages, texts = asyncio.run(_listened(comfy, loads))
    steps = [each["data"] for each in messages if each["type"] == "progress" and each["data"]["node"] == loader]
    assert steps and steps[-1]["value"] == steps[-1]["max"] > 0, [each["type"] for each in messages]
    assert any(loader.encode() in each and b"opencl:0" in each for each in texts), texts


async def _listened(comfy, workflow):
    """What the server sends to a page while a workflow runs: messages, and what is no message."""
    messages, texts = [], []
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{comfy.url}/ws?clientId=tests", max_msg_size=0) as socket:
            number = comfy.queue(workflow)
            async for message in socket:
                if message.type != aiohttp.WSMsgType.TEXT:
                    texts.append(message.data)
                    continue
                messages.append(json.loads(message.data))
                if messages[-1]["type"] in ("execution_success", "execution_error"):
                    break
    comfy.wait(number)
    return messages, texts


def test_an_interrupt():
    comfy = server()
    for delay in (0.1, 1.0, 2.0):
        number = comfy.queue(flow.plain("small.safetensors", ours("opencl:0,*"), steps=400, seed=int(delay * 10)))
        time.sleep(delay)
        comfy.post("/interrupt", {})
        with tap.raises(Failed, "interrupted"):
            comfy.wait(number)
    expected = latents(comfy.run(flow.plain("small.safetensors", None, seed=31)))
    assert latents(comfy.run(flow.plain("small.safetensors", ours("opencl:0,*"), seed=31))) == expected


def test_an_interrupt_in_the_middle_of_a_load():
    comfy, file = server(), "as large as people's.safetensors"
    path = tap.layout("control_v11p_sd15_canny_fp16")
    os.symlink(path, f"{comfy.base}/models/controlnet/{file}")
    workflow = lambda ours: flow.plain(file, ours, kind="mixer", width=768, steps=1)  # noqa: E731
    expected = latents(comfy.run(workflow(None)))
    assert forgotten(comfy)
    before = comfy.rss()
    comfy.post("/distorch2-tests/stand-still", {})
    number = comfy.queue(workflow(ours()))
    assert soon(lambda: comfy.get("/distorch2-tests/where")), "no load was seen in its middle"
    done, total = comfy.get("/distorch2-tests/where")
    comfy.post("/interrupt", {})
    with tap.raises(Failed, "interrupted"):
        comfy.wait(number)
    assert loaded(comfy) == 0
    assert soon(lambda: comfy.rss() < before + os.path.getsize(path) / (10 << 20)), (before, comfy.rss())
    tap.diag(f"interrupted at {done} of {total} bytes: {before:.0f} MiB before, {comfy.rss():.0f} MiB after")
    assert latents(comfy.run(workflow(ours()))) == expected


def test_fifty_workflows_without_growth():
    comfy, seen = server(), []
    for turn in range(50):
        share = 10 + turn % 5
        comfy.run(flow.plain("small.safetensors", ours(f"cpu,{share}%;opencl:0,*"), steps=1, seed=1000 + turn))
        seen.append(comfy.rss())
    tap.diag(f"fifty workflows: {seen[9]:.0f} MiB after 10, {seen[-1]:.0f} MiB after 50")
    assert seen[-1] < seen[9] + 24, seen


def test_beside_the_pack_that_published_these_names():
    pack = os.environ.get("DISTORCH2_COMFYUI_MULTIGPU", "")
    if not os.path.isfile(f"{pack}/__init__.py"):
        raise tap.Skip("DISTORCH2_COMFYUI_MULTIGPU names no checkout of ComfyUI-MultiGPU")
    nodes = (("distorch2", serving.NODES), ("distorch2-tests", serving.PACK), ("ComfyUI-MultiGPU", pack))
    comfy = server(nodes=nodes)
    known = {name: comfy.get(f"/object_info/{name}")[name]["python_module"] for name in PUBLISHED}
    assert known["DisTorch2ControlNetLoader"] == "custom_nodes.distorch2"
    fails = "ComfyUI-MultiGPU module for custom nodes: " in comfy.said()  # of 2026, in a ComfyUI of 2025
    if fails:
        tap.diag("this ComfyUI cannot import this ComfyUI-MultiGPU: its names are ours")
    whose = "custom_nodes.distorch2" if fails else "custom_nodes.ComfyUI-MultiGPU"
    assert known["ControlNetLoaderDisTorch2MultiGPU"] == whose, known
    equal("beside ComfyUI-MultiGPU", flow.plain, file="small.safetensors", of=lambda: comfy)


def test_what_the_log_says():
    said = server().said()
    for word in ("memory leak", 'Traceback (most recent call last):\n  File "asyncio'):
        assert word not in said
    assert "Cannot import" not in said and "IMPORT FAILED" not in said, said[-3000:]


if __name__ == "__main__":
    tap.run_tests()
