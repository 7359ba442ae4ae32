# SPDX-License-Identifier: BSD-3-Clause
"""Installed as people do it: a wheel into an environment, the node folder into a copy of the checkout, and a workflow
over HTTP. Nothing of this tree or of what was built in it is found from there."""

import glob
import importlib.util
import os
import shutil
import subprocess
import sys

import checkout as here
import tap

here.start()

import made
import serving
import workflows as flow
from serving import Server, latents

FILE = "small.safetensors"
PACKAGE = f"{tap.SOURCE}/python"


def run(*command):
    done = subprocess.run(command, env=serving.plain(), cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def typed(*command):
    """What people type, and so whoever reads the log."""
    tap.diag("$ " + " ".join(command))
    return run(*command)


def wheel():
    given = os.environ.get("DISTORCH2_WHEEL")
    if given:
        return os.path.abspath(given)
    if importlib.util.find_spec("pip") is None:
        raise tap.Skip("this environment has no pip")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    if importlib.util.find_spec("setuptools") and importlib.util.find_spec("wheel"):
        command.append("--no-build-isolation")
    try:
        typed(*command, "-w", tap.scratch("wheels"), os.path.abspath(PACKAGE))
    except AssertionError as refused:
        raise tap.Skip(f"no wheel can be built here (DISTORCH2_WHEEL names one): {str(refused)[-300:]}") from None
    (built,) = glob.glob(tap.scratch("wheels/*.whl"))
    return built


def environment():
    """A new one, which also sees what ComfyUI needs in the one that runs this."""
    typed(sys.executable, "-m", "venv", tap.scratch("venv"))
    python = tap.scratch("venv/bin/python")
    (site,) = glob.glob(tap.scratch("venv/lib/python3*/site-packages"))
    with open(f"{site}/comfyui.pth", "w", encoding="utf-8") as file:
        for path in sys.path:
            if path.endswith("site-packages"):
                file.write(f"{path}\n")
    typed(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", wheel())
    where = "import distorch2, distorch2._native as native; print(distorch2.__file__, native.lib._name)"
    for each in run(python, "-c", where).split():
        assert os.path.realpath(each).startswith(os.path.realpath(site)), f"{each} is not what was installed"
    return python


def fresh():
    """A copy of the checkout as it was cloned, with the node folder and the tests' own nodes in it."""
    root = tap.scratch("ComfyUI")
    of_a_user = (".git", "models", "custom_nodes", "input", "output", "temp", "user", "__pycache__")
    shutil.copytree(here.ROOT, root, ignore=lambda at, names: set(names) & set(of_a_user) if at == here.ROOT else ())
    os.makedirs(f"{root}/models/controlnet")
    os.makedirs(f"{root}/custom_nodes")
    typed("cp", "-r", os.path.abspath(serving.NODES), f"{root}/custom_nodes/distorch2-controlnet")
    shutil.copytree(serving.PACK, f"{root}/custom_nodes/distorch2-tests")
    made.small(f"{root}/models/controlnet/{FILE}")
    return root


_server = []


def server():
    if not _server:
        python = environment()
        _server.append(Server(folder="ComfyUI", nodes=(), root=fresh(), python=python))
    return _server[0]


def test_the_nodes_are_there_with_all_that_belongs_to_them():
    comfy = server()
    known = comfy.get("/object_info")
    for name in ("DisTorch2ControlNetLoader", "ControlNetLoaderDisTorch2MultiGPU", "DisTorch2Plan"):
        assert known[name]["python_module"] == "custom_nodes.distorch2-controlnet", name
    assert "IMPORT FAILED" not in comfy.said(), comfy.said()[-3000:]
    assert "controlnet-with-virtual-vram" in comfy.get("/workflow_templates")["distorch2-controlnet"]
    assert comfy.get("/i18n")["en"]["nodeDefs"]["DisTorch2Plan"]["display_name"] == "DisTorch2 Plan"
    said = [line for line in comfy.said().splitlines() if "distorch2: " in line]
    tap.diag("\n".join(said))
    assert said, "the log says nothing of the names"


def test_its_pictures_are_those_of_the_stock_loader():
    comfy = server()
    donors = comfy.get("/object_info/DisTorch2ControlNetLoader")["DisTorch2ControlNetLoader"]["input"]["optional"]
    spread = "cpu,30%;opencl:0,*" if "opencl:0" in donors["donor_device"][0] else "cpu,*"
    expected = latents(comfy.run(flow.plain(FILE, None)))
    outputs = comfy.run(flow.plain(FILE, {"expert_mode_allocations": spread}))
    assert expected and latents(outputs) == expected
    (text,) = (each["text"][0] for each in outputs.values() if "text" in each)
    tap.diag(f"{spread}: latents are the stock loader's. Under the node stands:\n{text}")
    tap.count(1, "workflow in a ComfyUI into which the wheel and the node folder were installed")


if __name__ == "__main__":
    tap.run_tests()
