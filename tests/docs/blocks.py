# SPDX-License-Identifier: BSD-3-Clause
"""Every block of every page: it is run, and prints what the page shows; or compiled; or stands in LISTED with the reason why it
cannot be run here. A block that is new is run, or is to be listed."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import tap

TOOL = os.environ.get("DISTORCH2", f"{tap.BUILD}/distorch2")

# -- what is not run as it stands: page, how the block begins, and a function that looks at it, or the reason --


def options_of_configure(block):
    """Options that configure has."""
    if not os.path.exists(f"{tap.SOURCE}/configure"):
        raise tap.Skip("configure was not made")
    said = subprocess.run([f"{tap.SOURCE}/configure", "--help"], capture_output=True, text=True).stdout
    for option in re.findall(r"--[a-z-]+[a-z]", block):
        name = re.sub(r"^--(with|without|enable|disable)-", "", option)
        assert f"-{name}" in said, f"configure has no {option}"


def names_of_files(block):
    """Pages and folders that are there."""
    for page in re.findall(r"man (distorch2[a-z-]*)", block):
        assert any(os.path.exists(f"{tap.SOURCE}/docs/man/{page}.{section}") for section in "17"), page
    for path in re.findall(r"\b(?:docs|src|include|backends)/[a-z0-9_./]*[a-z0-9]", block):
        assert os.path.exists(f"{tap.SOURCE}/{path}"), path


def python_source(block):
    """It compiles; tests in tests/python/torch run the same, where torch and diffusers are."""
    compile(block, "block", "exec")


def own_program(block):
    """The compiler and pkg-config, on headers and a library that are not installed yet."""
    folder = embedding_place()
    need_programs(block)
    need_devices(block)
    done = run(f"set -e\n{block}", folder)
    assert done.returncode == 0, done.stdout + done.stderr


BUILDS = "builds the whole tree, and installs packages; continuous integration runs it"
STEP = "a step of a tutorial: tests/docs/examples.sh compiles its sources"
FOREIGN = "NAME and VENDOR stand for a driver that is not here; make check runs the suite on those that are"
LISTED = [
    ("README", "./quickstart", BUILDS),
    ("README", "apt-get", BUILDS),
    ("README", "--with-opencl", options_of_configure),
    ("README", "cc stream.c", own_program),
    ("README", "import distorch2, torch", python_source),
    ("README", "man distorch2", names_of_files),
    ("docs/architecture.md", "a program of yours", names_of_files),
    ("docs/commands.md", "", STEP),
    ("docs/formats.md", "", STEP),
    ("docs/hardware.md", "./quickstart check", BUILDS),
    ("docs/drivers/README.md", "", FOREIGN),
    ("docs/cluster.md", "", "make check-cluster runs it, on a cluster that it makes"),
    ("docs/comfyui.md", "pip install", "it needs an installation of ComfyUI; make check-comfyui uses the folder where it is"),
    ("docs/python.md", "module, record", python_source),
    ("python/README.md", "pip install", "tests/python/test_package.py installs it, from a copy"),
    ("python/README.md", "import distorch2", python_source),
]


# -- what pages there are, and their blocks --


def pages():
    yield from ["README", "python/README.md"]
    for folder in ("docs", "docs/drivers"):
        for name in sorted(os.listdir(f"{tap.SOURCE}/{folder}")):
            if name.endswith(".md"):
                yield f"{folder}/{name}"
    for name in sorted(os.listdir(f"{tap.SOURCE}/docs/man")):
        if re.fullmatch(r"distorch2.*\.[17]", name):
            yield f"docs/man/{name}"


def blocks(page):
    """(line, language, text) of each block: fenced, indented, or, of a manual page, unfilled in its examples."""
    with open(f"{tap.SOURCE}/{page}", encoding="utf-8") as file:
        text = file.read()
    if "/man/" in page:
        text = re.sub(r"(?s)\A.*?(?=^\.SH EXAMPLES$|\Z)", lambda cut: "\n" * cut[0].count("\n"), text, flags=re.M)
        pattern = r"^\.nf\n(?:\.RS\n)?(?P<text>.*?)(?:^\.RE\n)?^\.fi$"
    else:
        pattern = r"^```(?P<language>\w*)\n(?P<text>.*?)^```$|(?<=\n\n)(?P<indented>(?: {4}[^\n]*\n|\n(?= {4}))+)"
    for found in re.finditer(pattern, text, re.M | re.S):
        parts = found.groupdict()
        body = parts.get("indented") or parts["text"]
        indent = min(len(line) - len(line.lstrip()) for line in body.splitlines() if line.strip())
        body = "".join(line[indent:] or "\n" for line in body.splitlines(keepends=True))
        yield text.count("\n", 0, found.start()) + 1, parts.get("language"), body.replace("\\-", "-")


# -- programs of the reader's own --


def script(path, text):
    with open(path, "w", encoding="utf-8") as out:
        out.write(f"#!/bin/sh\n{text}\n")
    os.chmod(path, 0o755)


def embedding_place():
    """A workplace with the example programs, whose cc and c++ are the build's, and whose distorch2.pc leads to the build."""
    folder = workplace("tiny")[0]
    if os.path.exists(f"{folder}/distorch2.pc"):
        return folder
    for name in os.listdir(f"{tap.SOURCE}/docs/examples"):
        shutil.copy(f"{tap.SOURCE}/docs/examples/{name}", folder)
    for name, variable in (("cc", "CC"), ("c++", "CXX")):
        if os.environ.get(variable):
            script(f"{folder}/{name}", f'PATH={shlex.quote(os.environ["PATH"])} exec {os.environ[variable]} "$@"')
    with open(f"{tap.BUILD}/distorch2.pc", encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"(?m)^includedir=.*", f"includedir={tap.SOURCE}/include", text)
    text = re.sub(r"(?m)^libdir=.*", f"libdir={tap.BUILD}/.libs", text)
    with open(f"{folder}/distorch2.pc", "w", encoding="utf-8") as out:
        out.write(text)
    return folder


def instrumented():
    """Whether the library was built with a sanitizer."""
    with open(f"{tap.BUILD}/.libs/libdistorch2.so", "rb") as library:
        return re.search(b"__[at]san_init", library.read()) is not None


def need_programs(text):
    """Compilers, CMake, and packages that a block calls for."""
    folder = embedding_place()
    for program in ("cc", "c++", "cmake"):
        if re.search(rf"(?m)^(?:\$ )?{re.escape(program)} ", text) and not shutil.which(program, path=path_of(folder)):
            raise tap.Skip(f"there is no {program}")
    if "cmake" in text and instrumented():
        raise tap.Skip("the library wants a sanitizer's runtime, which a program of others does not have")
    for package in {"distorch2", *re.findall(r"\bOpenCL\b", text)}:
        if run(f"pkg-config --cflags {package}", folder).returncode:
            raise tap.Skip(f"pkg-config does not find all that {package} names")


def saved(language, block):
    """A file that the reader is to save under the name that its first line tells; whether it was one."""
    named = re.match(r"(?:/\*|//|#) ([\w.]+)", block)
    if language not in ("c", "cpp", "cmake") or not named:
        return False
    with open(f"{embedding_place()}/{named[1]}", "w", encoding="utf-8") as out:
        out.write(block)
    return True


# -- running them --


def workplace(layout):
    """A folder with a control.safetensors of that layout, and an adapter.safetensors."""
    folder = tap.scratch(f"work-{layout}")
    if not os.path.isdir(folder):
        os.mkdir(folder)
        os.symlink(tap.layout(layout), f"{folder}/control.safetensors")
        os.symlink(tap.layout("tiny-plain"), f"{folder}/adapter.safetensors")
        os.symlink(TOOL, f"{folder}/distorch2")
    return folder, f"{folder}/control.safetensors"


def path_of(folder):
    return f"{folder}:{os.environ['PATH']}"


def run(command, folder):
    environment = {**os.environ, "PATH": path_of(folder), "LC_ALL": "C.UTF-8", "COLUMNS": "200"}
    if os.path.exists(f"{folder}/distorch2.pc"):
        environment["PKG_CONFIG_PATH"] = f"{folder}:{os.environ.get('PKG_CONFIG_PATH', '')}"
        environment["LD_LIBRARY_PATH"] = f"{tap.BUILD}/.libs:{os.environ.get('LD_LIBRARY_PATH', '')}"
    return subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)


def need_devices(text):
    listed = run("distorch2 devices", workplace("tiny")[0]).stdout
    for name in re.findall(r"\b(?:opencl|cuda|hip):\d+", text):
        if not re.search(f"^{name} ", listed, re.M):
            raise tap.Skip(f"there is no {name}")


def shows(page, shown, command, done):
    """The page's words are printed in that order; [...] and columns that a page leaves out are anything. What a refusal says
    goes with its exit status."""
    words = [re.escape(word) for word in shown.replace("[...]", " ").split()]
    said = done.stdout + done.stderr
    pattern = r"(?s)(?<!\S)" + r"(?:\s.*?\s|\s+)".join(words)
    assert re.search(pattern, said), f"{page} shows of {command}:\n{shown}\nand not:\n{said}"
    refusal = "does not fit" in shown
    assert done.returncode == (3 if refusal else 0), said


def session(page, block):
    """Lines "$ COMMAND", each with what it prints below it. README's model is the real one; what a machine is, differs."""
    commands = "".join(line for line in block.splitlines(keepends=True) if line.startswith("$"))
    need_devices(commands)
    if page == "docs/embedding.md":
        need_programs(commands)
    folder = workplace("control_v11p_sd15_canny_fp16" if page == "README" else "tiny")[0]
    for command, shown in re.findall(r"^\$ ((?:[^\n]*\\\n)*[^\n]*)\n((?:(?!\$ )[^\n]*\n)*)", block, re.M):
        done = run(command, folder)
        if shown.strip() and command != "distorch2 devices":
            shows(page, shown, command, done)
        else:
            assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"


def python(page, block):
    need_devices(block)
    folder = workplace("tiny")[0]
    program = f"import distorch2\n{block}"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{page}:\n{program}\n{done.stdout}{done.stderr}"


def look_at(page, language, block):
    for where, begins, what in LISTED:
        if where == page and block.lstrip().startswith(begins):
            if isinstance(what, str):
                raise tap.Skip(what)
            return what(block)
    if block.startswith("$ "):
        return session(page, block)
    if page == "docs/embedding.md" and saved(language, block):
        return None
    if language == "python":
        return python(page, block)
    raise AssertionError("nothing here knows how to run this; add it to LISTED, with the reason why it cannot be run:\n" + block)


def tests():
    for page in pages():
        for line, language, block in blocks(page):
            name = f"test_{page} {line}: {block.split(chr(10))[0].strip()[:60]}"
            yield name.replace("#", " "), lambda case=(page, language, block): look_at(*case)


# -- words --

MADE_UP = re.compile("toy|largest|NAME")  # what the tutorials add
TREE = re.compile(r"\b(?:docs|src|include|backends|tests|python|m4)/[A-Za-z0-9_./-]*[A-Za-z0-9]")


def test_files_that_the_pages_name_are_there():
    missing = []
    for page in [*pages(), "tests/sim/README"]:
        with open(f"{tap.SOURCE}/{page}", encoding="utf-8") as file:
            for path in sorted(set(TREE.findall(file.read()))):
                # a program that the tests build is named without its suffix
                there = any(os.path.exists(f"{tap.SOURCE}/{path}{suffix}") for suffix in ("", ".c"))
                if not there and not MADE_UP.search(path):
                    missing.append(f"{page}: {path}")
    assert not missing, "\n".join(missing)


if __name__ == "__main__":
    words = {"test_files_that_the_pages_name_are_there": test_files_that_the_pages_name_are_there}
    tap.run_tests({**dict(tests()), **words})
