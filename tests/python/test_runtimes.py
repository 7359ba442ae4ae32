# SPDX-License-Identifier: BSD-3-Clause
"""Which CUDA and HIP runtimes a context is told of: those of the torch that is installed, which is not imported."""

import importlib
import os
import subprocess
import sys

import tap
from distorch2 import _runtimes

CUDA_12 = {"torch/__init__.py": "", "torch/version.py": "from typing import Optional\ncuda: Optional[str] = '12.8'\n"}
CPU = {"torch/__init__.py": "", "torch/version.py": "cuda: str = None\nhip = None\n", "torch/lib/libtorch_cpu.so": ""}
ROCM = {"torch/__init__.py": "", "torch/version.py": "cuda = None\nhip: str = '7.0.2'\n"}
SDK = {"_rocm_sdk_core/__init__.py": "", "_rocm_sdk_core/lib/libamdhip64.so.7": ""}
CASES = (
    ("nothing", {}, None, None),
    ("no more than a folder", {"torch/lib/libcudart.so.12": ""}, None, None),
    ("a bundled CUDA 11", {"torch/__init__.py": "", "torch/version.py": "cuda = '11.8'",
                           "torch/lib/libcudart-d0da41ae.so.11.0": ""}, "torch/lib/libcudart-d0da41ae.so.11.0", None),
    ("CUDA 12 in NVIDIA's package", {**CUDA_12, "nvidia/cuda_runtime/lib/libcudart.so.12": "",
                                     "nvidia/cuda_runtime/lib/libcudart_static.a": ""},
     "nvidia/cuda_runtime/lib/libcudart.so.12", None),
    ("CUDA 13 beside that of another", {"torch/__init__.py": "", "torch/version.py": "cuda = '13.0'",
                                        "nvidia/cuda_runtime/lib/libcudart.so.12": "",
                                        "nvidia/cu13/lib/libcudart.so.13": ""},
     "nvidia/cu13/lib/libcudart.so.13", None),
    ("torch's own before the package", {**CUDA_12, "torch/lib/libcudart.so.12": "",
                                        "nvidia/cuda_runtime/lib/libcudart.so.12": ""},
     "torch/lib/libcudart.so.12", None),
    ("a runtime of another version alone", {**CUDA_12, "nvidia/cuda_runtime/lib/libcudart.so.11.0": ""}, None, None),
    ("no runtime at all", CUDA_12, None, None),
    ("torch for the processor, beside NVIDIA's package", {**CPU, "nvidia/cuda_runtime/lib/libcudart.so.12": ""},
     None, None),
    ("no version, and libraries that tell", {"torch/__init__.py": "", "torch/lib/libc10_cuda.so": "",
                                             "torch/lib/libcudart.so.12": ""}, "torch/lib/libcudart.so.12", None),
    ("a version that is no Python", {**CPU, "torch/version.py": "cuda = = '12.8'", "torch/lib/libcudart.so.12": ""},
     None, None),
    ("a version that would do harm", {"torch/__init__.py": "raise SystemExit(1)", "torch/version.py":
                                      "raise SystemExit(1)\ncuda = '12.1'", "torch/lib/libcudart.so.12": ""},
     "torch/lib/libcudart.so.12", None),
    ("ROCm beside torch", {**ROCM, "torch/lib/libamdhip64.so": "", "torch/lib/libhsa-runtime64.so": ""},
     None, "torch/lib/libamdhip64.so"),
    ("ROCm in AMD's package", {**ROCM, **SDK}, None, "_rocm_sdk_core/lib/libamdhip64.so.7"),
    ("AMD's package beside torch for CUDA", {**CUDA_12, **SDK}, None, None),
)

CONDA = "env/lib/python3.12/site-packages"
CONDA_CASES = (
    ("an environment of conda", {"env/conda-meta/history": "", "env/lib/libcudart.so.12": "",
                                 "env/lib/libamdhip64.so.6": ""}, "env/lib/libcudart.so.12"),
    ("of another version", {"env/conda-meta/history": "", "env/lib/libcudart.so.11.8.89": ""}, None),
    ("a prefix that is none of conda's", {"env/lib/libcudart.so.12": ""}, None),
)


def make(name, files):
    root = tap.scratch(name)
    os.makedirs(root)
    for path, text in files.items():
        os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
        with open(os.path.join(root, path), "w", encoding="utf-8") as file:
            file.write(text)
    return root


def test_runtimes_of_torch():
    path = list(sys.path)
    for number, (what, files, cuda, hip) in enumerate(CASES):
        root = make(f"tree{number}", files)
        sys.path[:] = [root]
        importlib.invalidate_caches()
        try:
            found = _runtimes.of_torch()
        finally:
            sys.path[:] = path
        wanted = tuple(file and os.path.join(root, file) for file in (cuda, hip))
        assert found == wanted, f"{what}: {found}, not {wanted}"
        assert "torch" not in sys.modules and "_rocm_sdk_core" not in sys.modules, f"{what}: it was imported"
    tap.count(len(CASES), "installations of torch looked at")


def test_runtimes_of_an_environment_of_conda():
    path = list(sys.path)
    for number, (what, files, cuda) in enumerate(CONDA_CASES):
        torch = {f"{CONDA}/{name}": text for name, text in CUDA_12.items()}
        root = make(f"conda{number}", {**files, **torch})
        sys.path[:] = [os.path.join(root, CONDA)]
        importlib.invalidate_caches()
        try:
            found = _runtimes.of_torch()
        finally:
            sys.path[:] = path
        assert found == (cuda and os.path.join(root, cuda), None), f"{what}: {found}"


PROGRAM = r"""
import sys
import distorch2

order, device, older, newer, model = sys.argv[1:]

def load():
    with distorch2.Context() as context:
        with context.load(model, compute_device=device, virtual_vram_gb=0, verify=True) as loaded:
            assert {tensor.device for tensor in loaded.tensors.values()} == {device}

if order == "us":
    load()
    assert "torch" not in sys.modules
import torch
load()
assert torch.work() == 0
name = "libcudart" if device == "cuda:0" else "libamdhip64"
mapped = {line.split()[-1] for line in open("/proc/self/maps") if name in line}
assert mapped == {newer}, mapped
"""


def simulated(torch, order, device, older, newer, **environment):
    machine = f"{tap.SOURCE}/tests/data/machines/small.sim"
    command = ["/bin/sh", f"{tap.SOURCE}/tests/sim/run", machine, sys.executable, "-c", PROGRAM, order, device, older]
    variables = dict(os.environ, LD_LIBRARY_PATH=older, DISTORCH2_SIM_CUDART="no", **environment)
    variables["PYTHONPATH"] = f"{variables.get('PYTHONPATH', '')}:{torch}"
    command += [newer, tap.layout("tiny")]
    return subprocess.run(command, capture_output=True, text=True, env=variables)


def test_import_orders():
    """The system has an older runtime than torch needs, and whichever comes first, there is torch's alone."""
    libraries = os.path.realpath(f"{tap.BUILD}/tests/gpu/import")
    for driver, version, base in (("cuda", "12.8", "libcudart.so.12"), ("hip", "7.0.2", "libamdhip64.so.7")):
        needs = f"{libraries}/lib/.libs/needs-{driver}.so"
        older = f"{libraries}/older/.libs"
        newer = os.path.realpath(f"{libraries}/newer/.libs/{base}")
        if not os.path.exists(needs) or not os.path.exists(f"{tap.BUILD}/.libs/dt2-{driver}.so"):
            raise tap.Skip(f"the {driver} driver, or what its tests need, was not built")
        init = f"import ctypes\nlibrary = ctypes.CDLL({needs!r}, ctypes.RTLD_GLOBAL)\n" \
               "def work():\n    return library.import_work(None)\n"
        torch = make(f"import-{driver}", {"torch/__init__.py": init, "torch/version.py": f"{driver} = {version!r}\n"})
        os.makedirs(f"{torch}/torch/lib")
        os.symlink(newer, f"{torch}/torch/lib/{base}")
        for order in ("us", "torch"):
            done = simulated(torch, order, f"{driver}:0", older, newer)
            assert done.returncode == 0, f"{driver}, {order} first:\n{done.stdout}{done.stderr}"
        variable = "DISTORCH2_CUDART" if driver == "cuda" else "DISTORCH2_AMDHIP64"
        done = simulated(torch, "us", f"{driver}:0", older, newer, **{variable: f"{older}/{base}"})
        assert "undefined symbol" in done.stderr, f"{variable} does not count:\n{done.stdout}{done.stderr}"


if __name__ == "__main__":
    tap.run_tests()
