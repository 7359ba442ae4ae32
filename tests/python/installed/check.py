# SPDX-License-Identifier: BSD-3-Clause
"""The wheel, as whoever installs it has it: built from this tree, installed in an environment of its own, and used there.

check.py [--quick] [WHEEL]    --quick leaves out the package's own tests, which run with what was installed
"""

import glob
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
import tap

QUICK = "--quick" in sys.argv
GIVEN = [argument for argument in sys.argv[1:] if argument.endswith(".whl")]
PLATFORMS = r"distorch2-[\d.]+-py3-none-manylinux_2_(\d+)_(x86_64|aarch64)\.whl"
FLOOR = 28
MOST_BYTES = 2 << 20
MOST_IMPORT_MS = 10
# What belongs to the machine is loaded there, and comes with no wheel.
OF_THE_MACHINE = ("libOpenCL", "libcuda", "libcudart", "libamdhip64", "libnvidia-ml", "libhsa")


def run(*command, **environment):
    """With an environment that has nothing of ours in it."""
    kept = ("TMPDIR", "CC", "CCACHE_DIR", "PATH")
    plain = {key: value for key, value in os.environ.items() if key in kept or key.startswith("PIP_")}
    done = subprocess.run(command, env={**plain, **environment}, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def made(what, _known={}):
    """The wheel, and the environment with it, made once."""
    if what not in _known:
        _known[what] = {"wheel": build, "venv": install, "newcomer": newcomer}[what]()
    return _known[what]


def build():
    if GIVEN:
        return os.path.abspath(GIVEN[0])
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    if importlib.util.find_spec("setuptools") and importlib.util.find_spec("wheel"):
        command.append("--no-build-isolation")
    run(*command, "-w", tap.scratch("wheels"), f"{os.path.abspath(tap.SOURCE)}/python")
    (wheel,) = glob.glob(tap.scratch("wheels/*.whl"))
    return wheel


def install():
    venv = tap.scratch("venv")
    run(sys.executable, "-m", "venv", venv)
    run(f"{venv}/bin/python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", made("wheel"))
    return venv


def installed():
    return run(f"{made('venv')}/bin/python", "-c", "import distorch2; print(distorch2.__path__[0])").strip()


def binaries():
    here = installed()
    return [f"{here}/bin/distorch2", f"{here}/lib/libdistorch2.so.0", *glob.glob(f"{here}/lib/distorch2/*/*.so")]


def need(tool):
    if shutil.which(tool) is None:
        raise tap.Skip(f"{tool} is not installed")


def status():
    command = ["git", "-C", tap.SOURCE, "status", "--porcelain", "--ignored"]
    return sorted(subprocess.run(command, capture_output=True, text=True).stdout.splitlines())


def test_it_is_built_and_leaves_the_tree_as_it_was():
    before = status()
    wheel = made("wheel")
    assert GIVEN or status() == before, set(status()) ^ set(before)
    tag = re.fullmatch(PLATFORMS, os.path.basename(wheel))
    assert tag and int(tag[1]) <= FLOOR, f"{wheel}: what asks for more than glibc 2.{FLOOR} belongs in recipe/floor.c"
    size = os.path.getsize(wheel)
    assert size < MOST_BYTES, size
    tap.diag(f"{os.path.basename(wheel)}: {size} bytes")


def test_it_has_what_it_should_and_nothing_of_the_machine():
    names = zipfile.ZipFile(made("wheel")).namelist()
    modules = [f"lib/distorch2/0/dt2-{name}.so" for name in ("cuda", "hip")]  # they need no header
    for wanted in ("bin/distorch2", "lib/libdistorch2.so.0", "lib/licenses/hwloc", "lib/licenses/jansson", "py.typed",
                   *modules):  # fmt: skip
        assert f"distorch2/{wanted}" in names, wanted
    assert not [name for name in names if os.path.basename(name).startswith(OF_THE_MACHINE)], names
    tap.diag("modules: " + ", ".join(os.path.basename(name) for name in names if "/dt2-" in name))


def test_nothing_is_linked_but_the_c_library():
    need("readelf")
    for each in binaries():
        linked = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", each))
        ours = r"(libc|libm|libdl|libpthread|libdistorch2|ld-linux.*)\.so"
        others = [name for name in linked if not re.match(ours, name)]
        assert not others, (each, others)


def test_what_is_inside_stays_inside():
    """Another hwloc in the process, as PoCL has it, is neither used nor lent anything."""
    need("nm")
    for each in binaries()[1:]:
        defined = [line.split()[-1].partition("@")[0] for line in run("nm", "-D", "--defined-only", each).splitlines()]
        strangers = [name for name in defined if not name.startswith(("dt2_", "DISTORCH2_"))]
        assert not strangers, (each, strangers[:5])


def test_auditwheel_agrees_with_its_tag():
    tool = shutil.which("auditwheel") or os.environ.get("AUDITWHEEL")
    if tool is None:
        raise tap.Skip("auditwheel is not installed (PyPI: auditwheel; $AUDITWHEEL names it)")
    said = " ".join(run(tool, "show", made("wheel")).split())
    asked = int(re.fullmatch(PLATFORMS, os.path.basename(made("wheel")))[1])
    found = re.search(r'following platform tag: "manylinux_2_(\d+)', said)
    assert found and int(found[1]) <= asked, said
    tap.diag(found[0])


def test_the_tool_runs_with_nothing_else_there():
    venv = made("venv")
    for program in (f"{venv}/bin/distorch2", f"{installed()}/bin/distorch2"):
        said = run(program, "devices", "--json", PATH="/nonexistent")
        assert '"name": "cpu"' in said, said
    assert run(f"{venv}/bin/distorch2", "--version", PATH="/nonexistent").startswith("distorch2 ")


def test_without_an_icd_loader_it_says_so():
    program = f"{installed()}/bin/distorch2"
    if not os.path.exists(f"{installed()}/lib/distorch2/0/dt2-opencl.so"):
        raise tap.Skip("the wheel has no OpenCL module")
    done = subprocess.run([program, "devices", "--verbose"], capture_output=True, text=True,
                          env={"DISTORCH2_OPENCL": "/nonexistent/libOpenCL.so.1"})  # fmt: skip
    assert done.returncode == 0 and "no OpenCL ICD loader" in done.stderr, done.stderr


def test_an_import_is_quick():
    program = "import time; t = time.perf_counter(); import distorch2; print((time.perf_counter() - t) * 1000)"
    best = min(float(run(f"{made('venv')}/bin/python", "-c", program)) for _ in range(15))
    tap.diag(f"import distorch2: {best:.1f} ms")
    assert best < MOST_IMPORT_MS, best


def test_an_import_runs_no_process():
    need("strace")
    log = tap.scratch("strace")
    command = [f"{made('venv')}/bin/python", "-c", "import distorch2; distorch2.library_version()"]
    try:
        run("strace", "-f", "-e", "trace=execve,fork,vfork,clone,clone3", "-o", log, *command)
    except AssertionError as refused:
        raise tap.Skip(f"strace: {str(refused).splitlines()[-1]}") from None
    with open(log, encoding="utf-8") as lines:
        calls = [line for line in lines if re.search(r"\b(execve|v?fork|clone3?)\(", line)]
    assert len(calls) == 1, calls
    tap.diag("one execve, Python's own")


# -- from other sources than a checkout that was configured --


def newcomer():
    """The tree as somebody has it who cloned it just now."""
    tree = tap.scratch("newcomer")
    done = subprocess.run(["git", "-C", tap.SOURCE, "ls-files", "-z", ":!:tests/data"], capture_output=True, text=True)
    if done.returncode != 0:
        raise tap.Skip("the source is no checkout of git")
    need("autoreconf")
    for name in filter(None, done.stdout.split("\0")):
        os.makedirs(os.path.dirname(f"{tree}/{name}"), exist_ok=True)
        if os.path.lexists(f"{tap.SOURCE}/{name}"):
            shutil.copy2(f"{tap.SOURCE}/{name}", f"{tree}/{name}", follow_symlinks=False)
    return tree


def wheel_of(source, target, **environment):
    """Built without a network, with the setuptools that are here."""
    if not (importlib.util.find_spec("setuptools") and importlib.util.find_spec("wheel")):
        raise tap.Skip("setuptools and wheel are not installed")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation",
        "-w", target, source, **environment)  # fmt: skip
    (wheel,) = glob.glob(f"{target}/*.whl")
    return wheel


def contents(wheel):
    return sorted(name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name)


def test_a_checkout_that_was_never_configured_builds_the_same():
    tree = made("newcomer")
    before = sorted(os.listdir(tree))
    assert contents(wheel_of(f"{tree}/python", tap.scratch("from-checkout"))) == contents(made("wheel"))
    assert sorted(os.listdir(tree)) == before and "configure" not in before


def test_an_sdist_builds_the_same_without_autotools():
    if not importlib.util.find_spec("setuptools"):
        raise tap.Skip("setuptools is not installed")
    target = tap.scratch("sdist")
    program = "import sys; sys.path.insert(0, '.'); import build_backend; build_backend.build_sdist(sys.argv[1])"
    folder = f"{made('newcomer')}/python"
    run("sh", "-c", 'cd "$1" && exec "$2" -B -c "$3" "$4"', "-", folder, sys.executable, program, target)
    (sdist,) = glob.glob(f"{target}/*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
        strange = [each.name for each in archive.getmembers() if not (each.isfile() or each.isdir())]
    root = os.path.basename(sdist)[: -len(".tar.gz")]
    assert not strange and all(name.partition("/")[0] == root for name in names), strange
    tap.diag(f"{os.path.basename(sdist)}: {os.path.getsize(sdist)} bytes, {len(names)} files")
    assert contents(wheel_of(sdist, tap.scratch("from-sdist"), AUTORECONF="false")) == contents(made("wheel"))


def test_its_own_tests_pass_with_it():
    if QUICK:
        raise tap.Skip("make check-wheel runs them")
    library = f"{installed()}/lib/libdistorch2.so.0"
    given = {
        "top_srcdir": os.path.abspath(tap.SOURCE),
        "top_builddir": os.path.abspath(tap.BUILD),
        "PYTHONPATH": f"{os.path.abspath(tap.SOURCE)}/tests/support",
        "PYTHONDONTWRITEBYTECODE": "1",
        "POCL_DEVICES": "pthread basic",
        "DISTORCH2": f"{made('venv')}/bin/distorch2",
        "DISTORCH2_LIBRARY": library,
    }
    where = "import distorch2, distorch2._native as n; print(distorch2.__file__, n.lib._name)"
    said = run(f"{made('venv')}/bin/python", "-c", where, **given).split()
    assert said == [f"{installed()}/__init__.py", library], said
    for test in sorted(glob.glob(f"{os.path.abspath(tap.SOURCE)}/tests/python/test_*.py")):
        if os.path.basename(test) == "test_package.py":  # of pip and the source
            continue
        out = run(f"{made('venv')}/bin/python", test, **given)
        tap.diag(f"{os.path.basename(test)}: {len(re.findall('^ok', out, re.M))} passed")


if __name__ == "__main__":
    tap.run_tests()
