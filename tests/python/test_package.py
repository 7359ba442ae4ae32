# SPDX-License-Identifier: BSD-3-Clause
"""The package as it is installed and imported: pip leaves its source as it was; torch is imported when it is asked for."""

import importlib.util
import os
import shutil
import subprocess
import sys

import tap

import distorch2


def tree(folder):
    return sorted(os.path.join(path, name) for path, folders, files in os.walk(folder) for name in folders + files)


def test_pip_leaves_the_source_as_it_was():
    for tool in ("pip", "setuptools", "wheel"):
        if importlib.util.find_spec(tool) is None:
            raise tap.Skip(f"{tool} is not installed")
    source, target = tap.scratch("checkout/python"), tap.scratch("installed")
    shutil.copytree(f"{tap.SOURCE}/python", source, ignore=shutil.ignore_patterns("__pycache__"))
    before = tree(source)
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", *offline, "--target", target, source]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, env={**environment, "HOME": tap.scratch()}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert tree(source) == before, sorted(set(tree(source)) - set(before))
    assert os.path.exists(f"{target}/distorch2/py.typed")
    say = "import distorch2; print(distorch2.__file__)"
    said = subprocess.run([sys.executable, "-c", say], env={**os.environ, "PYTHONPATH": target}, capture_output=True)
    assert said.stdout.decode().startswith(target), said


def test_torch_is_imported_when_it_is_asked_for():
    program = (
        "import sys, types, distorch2\n"
        "assert 'torch' not in sys.modules and 'distorch2.torch' not in sys.modules\n"
        "sys.modules['distorch2.torch'] = stand_in = types.ModuleType('distorch2.torch')\n"
        "assert distorch2.torch is stand_in\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_without_torch_its_name_is_in_the_error():
    if importlib.util.find_spec("torch") is not None:
        raise tap.Skip("torch is installed")
    with tap.raises(ImportError, "torch"):
        distorch2.torch.attach


def test_other_attributes_are_not_there():
    with tap.raises(AttributeError, "distorch2", "nothing"):
        distorch2.nothing


if __name__ == "__main__":
    tap.run_tests()
