# SPDX-License-Identifier: BSD-3-Clause
"""What people bring to ComfyUI's own server: workflows that another pack saved, files of every kind, broken ones among
them, and an environment that lacks the package."""

import os
import shutil

import checkout as here
import tap

here.start()

import made
import test_server
import torch
import workflows as flow
from safetensors.torch import load_file, save_file
from serving import Failed, Refused, Server, latents
from test_server import SPREAD, equal, ours

PUBLISHED = "ControlNetLoaderDisTorch2MultiGPU"
FP8 = torch.float8_e4m3fn
GGUFS = ("small.gguf", "small gguf.safetensors", "small gguf.pth")
"""One as it is called, and others that somebody gave names which ComfyUI lists."""


def of_people(folder):
    """Files as people have them, beside those of all tests."""
    FILES(folder)
    weights = load_file(f"{folder}/small.safetensors")
    names = [name for name, each in weights.items() if each.dim() == 2]
    scaled = {name: each.to(FP8) if name in names else each for name, each in weights.items()}
    scales = {name.replace(".weight", ".scale_weight"): torch.ones(()) for name in names}
    save_file({**scaled, **scales, "scaled_fp8": torch.zeros(2).to(FP8)}, f"{folder}/scaled.safetensors")
    for name, in_header in (("quantised.safetensors", False), ("quantised in the header.safetensors", True)):
        made.quantised(f"{folder}/{name}", in_header)
    for name in GGUFS:
        shutil.copy(f"{tap.SOURCE}/tests/data/gguf/controlnet.gguf", f"{folder}/{name}")
    pickled = {"small.ckpt": {"state_dict": weights}, "small.bin": weights, "small.pkl": weights}
    for name, content in pickled.items():
        torch.save(content, f"{folder}/{name}")
    with open(f"{folder}/small.safetensors", "rb") as file:
        whole = file.read()
    wrong = {"cut.safetensors": whole[:5000], "shorter.safetensors": whole[:-64], "empty.safetensors": b""}
    wrong |= {"text.pth": b"<html>Not found</html>", "text.safetensors": b"<html>Not found</html>"}
    for name, content in wrong.items():
        with open(f"{folder}/{name}", "wb") as file:
            file.write(content)
    save_file({"model.diffusion_model.out.2.weight": torch.ones(4, 4, 3, 3)}, f"{folder}/other kind.safetensors")


FILES, test_server.files = test_server.files, of_people


def server():
    return test_server.server()


def same(file):
    """The same latents as with the stock loader, and text under the node."""
    comfy = server()
    expected = latents(comfy.run(flow.plain(file, None)))
    outputs = comfy.run(flow.plain(file, ours()))
    assert latents(outputs) == expected, file
    (text,) = (each["text"][0] for each in outputs.values() if "text" in each)
    tap.count(1, "latents of a ComfyUI server, equal to the stock loader's")
    return text


def loader_of(workflow):
    return next(node for node in workflow.values() if "control_net_name" in node["inputs"])


def test_workflows_that_the_published_node_saved():
    comfy, file = server(), "small.safetensors"
    expected = latents(comfy.run(flow.plain(file, None)))
    inputs = {"compute_device": "cpu", "virtual_vram_gb": 4.0, "donor_device": "cpu", "expert_mode_allocations": ""}
    for saved in ({}, {"compute_device": "cpu"}, inputs, {**inputs, "eject_models": False, "keep_loaded": True}):
        workflow = flow.plain(file, ours())
        node = loader_of(workflow)
        node["class_type"], node["inputs"] = PUBLISHED, {"control_net_name": file, **saved}
        assert latents(comfy.run(workflow)) == expected, saved
    workflow = flow.difference(file, ours())
    node = loader_of(workflow)
    node["class_type"] = "Diff" + PUBLISHED
    node["inputs"] = {name: node["inputs"][name] for name in ("control_net_name", "model")}
    assert latents(comfy.run(workflow)) == latents(comfy.run(flow.difference(file, None)))


def test_inputs_as_they_were_left():
    for given in (
        {"virtual_vram_gb": 128.0, "donor_device": "opencl:0"},
        {"virtual_vram_gb": 0.1, "donor_device": "opencl:1"},
        {"virtual_vram_gb": 4.0, "donor_device": "cpu"},
        {"expert_mode_allocations": "  cpu,*  "},
        {"virtual_vram_gb": 4.0, "donor_device": "opencl:0", "expert_mode_allocations": "cpu,10gb;opencl:1,*"},
    ):
        comfy = server()
        expected = latents(comfy.run(flow.plain("small.safetensors", None)))
        assert latents(comfy.run(flow.plain("small.safetensors", given))) == expected, given


def test_files_of_every_ending():
    for file in ("small.ckpt", "small.bin", "small.pkl"):
        assert "not spread" not in same(file), file


def test_what_comfy_loads_and_we_do_not_spread():
    for file in ("scaled.safetensors", "quantised.safetensors", "lora.safetensors", "difference.pth"):
        assert f"{file} is not spread, and loaded as ComfyUI does it: " in same(file)
    for file in ("lora.safetensors", "difference.pth", "scaled.safetensors", "t2i.safetensors", "small.pth"):
        workflow = flow.Workflow()
        workflow.add("DisTorch2Plan", control_net_name=file, **{**flow.OURS, **ours()})
        ((said,),) = (each["text"] for each in server().run(workflow).values())
        assert ("is not spread" in said) == (file in ("lora.safetensors", "difference.pth", "scaled.safetensors")), said
        assert ("opencl:1" in said) != ("is not spread" in said), said


def test_quantised_as_the_header_says():
    """Of which ComfyUI knows nothing where it loads a ControlNet: what it makes of the file is spread."""
    assert "not spread" not in same("quantised in the header.safetensors")


def test_a_gguf_file():
    """ComfyUI reads none: the sentence says what it is, whatever it is called."""
    comfy = server()
    for workflow in (flow.plain(GGUFS[0], None), flow.plain(GGUFS[0], ours())):
        with tap.raises(Refused) as caught:
            comfy.queue(workflow)
        assert list(caught[0].inputs) == ["control_net_name"], caught[0].inputs
    for file in GGUFS[1:]:
        with tap.raises(Failed):
            comfy.run(flow.plain(file, None))
        said(comfy, flow.plain(file, ours()), file, "Q8_0")
        plan = flow.Workflow()
        plan.add("DisTorch2Plan", control_net_name=file, **{**flow.OURS, **ours()})
        ((text,),) = (each["text"] for each in comfy.run(plan).values())
        assert "is not spread" in text and "Q8_0" in text, text
    equal("after them", flow.plain, file="small.safetensors", allocations=(SPREAD,))


def said(comfy, workflow, *words):
    """A workflow fails, and says these words in one line."""
    with tap.raises(Failed, *words) as caught:
        comfy.run(workflow)
    assert "\n" not in str(caught[0]), caught[0]
    tap.diag(caught[0])


def test_broken_files():
    comfy = server()
    for file in ("cut.safetensors", "shorter.safetensors", "empty.safetensors", "text.pth", "text.safetensors"):
        with tap.raises(Failed):
            comfy.run(flow.plain(file, None))
        said(comfy, flow.plain(file, ours()), file)
    said(comfy, flow.plain("other kind.safetensors", ours()), "other kind.safetensors", "no ControlNet")
    plan = flow.Workflow()
    plan.add("DisTorch2Plan", control_net_name="cut.safetensors", **{**flow.OURS, **ours()})
    said(comfy, plan, "cut.safetensors")
    equal("after broken files", flow.plain, file="small.safetensors", allocations=(SPREAD,))


def test_without_the_package():
    """The nodes are listed, what is to be typed is said at an input, and the stock loader works."""
    folder = "without"
    os.makedirs(tap.scratch(f"{folder}/models/controlnet"))
    made.small(tap.scratch(f"{folder}/models/controlnet/small.safetensors"))
    comfy = Server(folder=folder, env={"PYTHONPATH": f"{tap.SOURCE}/tests/support"})
    try:
        known = comfy.get("/object_info")
        assert {"DisTorch2ControlNetLoader", PUBLISHED, "DisTorch2Plan", "DisTorch2Devices"} <= set(known)
        with tap.raises(Refused) as caught:
            comfy.queue(flow.plain("small.safetensors", ours("cpu,*")))
        assert list(caught[0].inputs) == ["expert_mode_allocations"], caught[0].inputs
        assert "pip install distorch2" in caught[0].inputs["expert_mode_allocations"]
        workflow = flow.Workflow()
        workflow.add("DisTorch2Devices")
        with tap.raises(Failed, "pip install distorch2"):
            comfy.run(workflow)
        assert latents(comfy.run(flow.plain("small.safetensors", None)))
        assert "IMPORT FAILED" not in comfy.said() and "distorch2: the Python package distorch2" in comfy.said()
    finally:
        comfy.stop()


if __name__ == "__main__":
    tap.run_tests()
