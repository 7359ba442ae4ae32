# SPDX-License-Identifier: BSD-3-Clause
"""The keys that distorch2(1) documents, and those that the tool prints with --json: the same, whatever the command."""

import itertools
import json
import os
import re
import shutil
import subprocess
import time

import tap

TOOL = os.environ.get("DISTORCH2", f"{tap.BUILD}/distorch2")
SIMULATOR = f"{tap.BUILD}/tests/sim/lib/.libs/libdt2sim.so"
FREE = "anything"  # the page says {} or []: no fixed content


# -- what the page says --


class Page:
    """The documents of the section JSON, by their names. An object is a dict from a key to (whether it may be left out, what it
    has), an array a list of what its elements may be; a name is that document, None a plain value."""

    def __init__(self, path):
        text = open(path, encoding="utf-8").read()
        block = re.search(r"^\.SH JSON$.*?^\.RS$(.*?)^\.RE$", text, re.M | re.S).group(1)
        self.documents = {}
        for name, body in re.findall(r"^(\w+) +(\{.*?)(?=^\w|\Z)", block, re.M | re.S):
            self.words = re.findall(r'"[^"]*"|\w+|[][{},:?|]', body)
            self.documents[name] = self.value()
            assert not self.words, f"{name}: {self.words} is too much"

    def next(self, *expected):
        """The next word, when it is one of those."""
        return self.words.pop(0) if self.words and self.words[0] in expected else None

    def value(self):
        if self.next("{"):
            return self.object()
        if self.next("["):
            return self.array()
        return self.words.pop(0)

    def object(self):
        keys = {}
        while not self.next("}"):
            key = self.words.pop(0).strip('"')
            optional = self.next("?") is not None
            keys[key] = (optional, self.value() if self.next(":") else None)
            self.next(",")
        return keys or FREE

    def array(self):
        kinds = []
        while not self.next("]"):
            kinds.append(self.value())
            self.next("|")
        return kinds or FREE

    def differences(self, value, kind, path, seen):
        """What is printed and not documented, or the other way round. Keys that were there are added to `seen`."""
        if isinstance(kind, str) and kind != FREE:
            kind, path = self.documents[kind], kind
        if kind == FREE or value is None:
            return []
        if isinstance(kind, list):
            found = (self.differences(item, self.fitting(item, kind), path, seen) for item in value)
            return list(itertools.chain.from_iterable(found))
        if kind is None:
            return [f"{path} is no plain value"] if isinstance(value, (dict, list)) else []
        found = [f"{path}.{key} is not documented" for key in value if key not in kind]
        for key, (optional, inner) in kind.items():
            if key in value:
                seen.add(f"{path}.{key}")
                found += self.differences(value[key], inner, f"{path}.{key}", seen)
            elif not optional:
                found.append(f"{path}.{key} is missing")
        return found

    def fitting(self, item, kinds):
        return next((kind for kind in kinds if not self.differences(item, kind, "", set())), kinds[0])

    def keys(self, kind, path):
        """All that are documented, as `seen` has them."""
        if isinstance(kind, list):
            for one in kind:
                yield from self.keys(one, path)
        elif isinstance(kind, dict):
            for key, (_, inner) in kind.items():
                yield f"{path}.{key}"
                yield from self.keys(inner, f"{path}.{key}")


PAGE = Page(f"{tap.SOURCE}/docs/man/distorch2.1")
SEEN = set()


# -- what the tool prints --


def models():
    """A folder like ComfyUI's, with a model that is recognised, one of several files, and one that is none."""
    folder = tap.scratch("comfy/models/controlnet")
    if not os.path.isdir(folder):
        os.makedirs(folder)
        shutil.copy(tap.layout("tiny"), f"{folder}/tiny.safetensors")
        shutil.copy(tap.layout("tiny-plain"), f"{folder}/plain.safetensors")
        shutil.copy(f"{tap.SOURCE}/tests/data/gguf/controlnet.gguf", folder)
        with open(f"{folder}/broken.safetensors", "w", encoding="utf-8") as file:
            file.write("no model at all")
    return tap.scratch("comfy")


def printed(*words, machine=None, **variables):
    simulated = [f"{tap.SOURCE}/tests/sim/run", f"{tap.SOURCE}/tests/data/machines/{machine}.sim"] if machine else []
    environment = {**os.environ, "COMFYUI_PATH": models(), **variables}
    done = subprocess.run([*simulated, TOOL, *words, "--json"], env=environment, capture_output=True, text=True)
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"{words}: {done.stdout}{done.stderr}") from None


def compare(name, *words, **where):
    found = PAGE.differences(printed(*words, **where), name, name, SEEN)
    assert not found, "\n".join([" ".join(words), *found])


def test_devices_of_this_machine():
    compare("devices", "devices")
    compare("devices", "devices", "--measure", "--free")
    printed("run", "tiny.safetensors", "--compute-device", "cpu", "--passes", "5", "--step-ms", "5")
    compare("devices", "devices")  # with what that session learnt


def test_devices_of_another_machine():
    if not os.path.exists(SIMULATOR):
        raise tap.Skip("the simulated machine was not built")
    compare("devices", "devices", "--measure", machine="mixed")
    compare("load", "load", "tiny.safetensors", "--verify", machine="mixed")


def test_gpus_that_no_driver_claims():
    topology = f"{tap.SOURCE}/tests/data/topologies/nvidiaDGX2.xml"
    compare("devices", "devices", HWLOC_XMLFILE=topology, DISTORCH2_BACKEND_PATH="")


def test_models():
    compare("models", "models")
    compare("models", "models", "--long")


def test_inspect():
    for name in ("tiny.safetensors", "plain.safetensors", "controlnet.gguf"):
        compare("inspect", "inspect", name)
    compare("several", "inspect", "tiny.safetensors", "broken.safetensors", "nosuch")
    compare("several", "inspect", "--all")


def test_checksums():
    folder = f"{models()}/models/controlnet"
    sha256 = "--sha256" if "libcrypto" not in json.dumps(printed("inspect", "tiny.safetensors", "--sha256")) else "--tensors"
    if sha256 == "--tensors":
        SEEN.add("inspect.parts.sha256")  # the tool was built without
    compare("inspect", "inspect", "tiny.safetensors", "--checksums", sha256)
    saved = tap.scratch("sums.json")
    with open(saved, "w", encoding="utf-8") as file:
        json.dump(printed("inspect", f"{folder}/tiny.safetensors", "--checksums"), file)
    compare("verify", "verify", "tiny.safetensors", "--against", saved)
    compare("verify", "verify", "plain.safetensors", "--against", saved)


def test_plan():
    compare("plan", "plan", "tiny.safetensors")
    compare("compare", "plan", "tiny.safetensors", "--compare")
    machine = tap.scratch("machine.json")
    with open(machine, "w", encoding="utf-8") as file:
        json.dump({"devices": [{"name": "cpu", "total_bytes": 1 << 34}, {"name": "cuda:0", "total_bytes": 1 << 30}]}, file)
    total = printed("plan", "tiny.safetensors")["model"]["total_bytes"]
    compare("plan", "plan", "tiny.safetensors", "--machine", machine, "--virtual-vram-gb", "0", "--budget",
            f"cuda:0={total - 1}b", "--fit")  # fmt: skip
    compare("plan", "plan", "tiny.safetensors", "--reserve", "cpu=1gb", "--budget", "cpu=8gb", "--pack",
            "--compute-device", "cpu", "--expert-mode-allocations", "cpu,*")  # fmt: skip


def test_load():
    compare("load", "load", "tiny.safetensors", "plain.safetensors", "--compute-device", "cpu", "--verify")
    compare("load", "load", "tiny.safetensors", "broken.safetensors", "--compute-device", "cpu")


def test_bench():
    compare("bench", "bench", "tiny.safetensors", "--device", "cpu")


def test_run():
    compare("run", "run", "tiny.safetensors", "--compute-device", "cpu", "--passes", "2")


def test_shared():
    words = [TOOL, "run", "tiny.safetensors", "--compute-device", "cpu", "--share=only", "--passes=1", "--step-ms=60000"]
    environment = {**os.environ, "COMFYUI_PATH": models(), "XDG_RUNTIME_DIR": tap.scratch("run")}
    os.mkdir(environment["XDG_RUNTIME_DIR"], 0o700)
    other = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            found = printed("shared", XDG_RUNTIME_DIR=environment["XDG_RUNTIME_DIR"])
            if found["shared"] or other.poll() is not None:
                break
            time.sleep(0.1)
        assert [each["processes"] for each in found["shared"]] == [[other.pid]], found
        compare("shared", "shared", XDG_RUNTIME_DIR=environment["XDG_RUNTIME_DIR"])
    finally:
        other.kill()
        other.wait()
    assert printed("shared", XDG_RUNTIME_DIR=environment["XDG_RUNTIME_DIR"]) == {"shared": []}


def test_progress():
    environment = {**os.environ, "COMFYUI_PATH": models()}
    words = [TOOL, "load", "tiny.safetensors", "--compute-device", "cpu", "--progress=json"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    for line in done.stderr.splitlines():
        found = PAGE.differences(json.loads(line), "progress", "progress", SEEN)
        assert not found, found


def test_errors():
    for words in (["plan", "nosuch"], ["lod"], ["load"], ["inspect", "broken.safetensors"]):
        compare("error", *words)


def test_every_key_of_the_page_was_printed():
    documented = {key for name, kind in PAGE.documents.items() for key in PAGE.keys(kind, name)}
    never = sorted(documented - SEEN)
    if not os.path.exists(SIMULATOR):
        never = [key for key in never if not key.startswith("devices.devices.links.")]
    assert not never, f"documented, and never printed: {never}"
    tap.count(len(documented), "documented keys of JSON compared with those printed")


if __name__ == "__main__":
    tap.run_tests()
