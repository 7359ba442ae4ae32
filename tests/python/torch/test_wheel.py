# SPDX-License-Identifier: BSD-3-Clause
"""The package builds into a wheel without a network, and works from there, also with the library in it."""

import glob
import os
import shutil
import subprocess
import sys
import zipfile

import tap


def copy_of_the_package(library=False):
    """Builders write into the source."""
    target = tap.scratch("with" if library else "without")
    if not os.path.isdir(target):
        shutil.copytree(f"{tap.SOURCE}/python", target, ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run(["chmod", "-R", "u+w", target], check=True)
        if library:
            os.mkdir(f"{target}/distorch2/lib")
            shutil.copy(os.environ["DISTORCH2_LIBRARY"], f"{target}/distorch2/lib/libdistorch2.so.0")
    return target


def build(library=False):
    source = copy_of_the_package(library)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*command, "-w", f"{source}/out", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = glob.glob(f"{source}/out/*.whl")
    return wheel


def install(wheel):
    target = wheel + ".installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def runs(target, program, **environment):
    inherited = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "DISTORCH2_LIBRARY")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**inherited, "PYTHONPATH": target, **environment},
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SAY = "import distorch2; print(distorch2.__file__, len(distorch2.Context().devices()))"


def test_a_wheel_has_the_whole_package():
    wheel = build()
    assert os.path.basename(wheel).endswith("-py3-none-any.whl"), wheel
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in os.listdir(f"{tap.SOURCE}/python/distorch2"):
        if name.endswith(".py") or name == "py.typed":
            assert f"distorch2/{name}" in names, name
    target = install(wheel)
    said = runs(target, SAY, DISTORCH2_LIBRARY=os.environ["DISTORCH2_LIBRARY"])
    assert said.startswith(target) and int(said.split()[-1]) > 0


def test_the_library_in_a_wheel_is_found_first():
    target = install(build(library=True))
    program = "from distorch2._native import lib; print(lib._name)"
    assert runs(target, program) == f"{target}/distorch2/lib/libdistorch2.so.0"
    assert runs(target, SAY).startswith(target)


def test_an_installed_library_is_found_by_its_name():
    wheel = f"{tap.scratch('without')}/out"
    target = install(glob.glob(f"{wheel}/*.whl")[0])
    folder = os.path.dirname(os.environ["DISTORCH2_LIBRARY"])
    program = "from distorch2._native import lib; print(lib._name)"
    assert runs(target, program, LD_LIBRARY_PATH=folder) == "libdistorch2.so.0"


if __name__ == "__main__":
    tap.run_tests()
