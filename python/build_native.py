# SPDX-License-Identifier: BSD-3-Clause
"""The library, its driver modules and the tool for a wheel: built from the source tree, with what they need inside.

hwloc, jansson, libyaml and xxhash are linked statically: those below DISTORCH2_DEPS, where recipe/deps.sh built them,
else the distribution's. What needs a newer glibc than 2.28 is linked to what 2.28 has (recipe/floor.c), and the wheel's
tag says what came of it.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Optional

FLOOR = 28
DEPENDENCIES = {"hwloc": "hwloc", "jansson": "jansson", "yaml": "yaml-0.1", "xxhash": "libxxhash"}
# What programs hold themselves: recipe/statics.c.
OF_PROGRAMS = ("stdin", "stdout", "stderr", "program_invocation_name")
DEBIAN = "libhwloc-dev libjansson-dev libyaml-dev libxxhash-dev"
# Of the source tree, what a build reads.
TREE = ["COPYING", "Makefile.am", "aclocal.m4", "backends", "bootstrap", "build-aux", "config.h.in", "configure",
        "configure.ac", "include", "m4", "Makefile.in", "src"]  # fmt: skip


class BuildError(Exception):
    """Why there is no native part, and what would help."""


def source_of(package: Path) -> Optional[Path]:
    """The source tree: around the package in a checkout, in it in an sdist."""
    for folder in (package / "native", package.parent):
        if (folder / "configure.ac").is_file() and (folder / "src" / "distorch2.map").is_file():
            return folder
    return None


def copy_source(source: Path, target: Path) -> None:
    """What a build reads, and a configure script; where there is none yet, autotools make it."""
    ignore = shutil.ignore_patterns("*.o", "*.lo", "*.la", ".libs", ".deps", ".dirstamp", "autom4te.cache")
    target.mkdir(parents=True)
    for name in [*TREE, *(each.name for each in source.glob("*.pc.in"))]:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, ignore=ignore)
        elif (source / name).is_file():
            shutil.copy2(source / name, target / name)
    if not (target / "Makefile.in").is_file() or not (target / "configure").is_file():
        makefile = (source / "Makefile.am").read_text()
        for rules in re.findall(r"^include \$\(top_srcdir\)/(.+)$", makefile, re.MULTILINE):
            (target / rules).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / rules, target / rules)
        if shutil.which("autoreconf") is None:
            raise BuildError("the tree has no configure script, and autoconf, automake and libtool are not installed")
        run(["sh", "./bootstrap"], target)
        shutil.rmtree(target / "autom4te.cache", ignore_errors=True)


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str] = {}) -> str:
    """Runs a command; its output, which is in the error when it fails."""
    try:
        done = subprocess.run(command, cwd=folder, env={**os.environ, **environment}, text=True, encoding="utf-8",
                              errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    except FileNotFoundError:
        raise BuildError(f"{command[0]} is not installed") from None
    if done.returncode != 0:
        print(done.stdout)
        raise BuildError(f"{shlex.join(command)[:200]} failed: {done.stdout.strip()[-2000:]}")
    return done.stdout


def glibc() -> int:
    """N of this machine's glibc 2.N."""
    kind, version = platform.libc_ver()
    match = re.match(r"2\.(\d+)", version)
    if kind != "glibc" or match is None:
        raise BuildError(f"wheels are built with glibc, and this is {kind or 'another libc'} {version}")
    return int(match[1])


class Build:
    """One build, in a folder of its own."""

    def __init__(self, source: Path, recipe: Path, folder: Path) -> None:
        self.source, self.recipe, self.folder = source, recipe, folder
        self.compiler = shlex.split(os.environ.get("CC", "cc"))
        self.own = os.environ.get("DISTORCH2_DEPS")
        self.lowered = glibc() > FLOOR
        self.deps = folder / "deps"
        self.make = folder / "make"
        for each in (self.deps, self.make):
            each.mkdir(parents=True)

    # -- what is linked statically --

    def pkg_config(self, *arguments: str) -> str:
        paths = {"PKG_CONFIG_PATH": f"{self.own}/lib/pkgconfig:{self.own}/lib64/pkgconfig"} if self.own else {}
        return run([os.environ.get("PKG_CONFIG", "pkg-config"), *arguments], self.folder, paths).strip()

    def archive(self, library: str, module: str) -> Path:
        folders = [f"{self.own}/lib", f"{self.own}/lib64"] if self.own else []
        try:
            folders.append(self.pkg_config("--variable=libdir", module))
        except BuildError:
            pass
        for folder in folders:
            if (Path(folder) / f"lib{library}.a").is_file():
                return Path(folder) / f"lib{library}.a"
        raise BuildError(f"there is no lib{library}.a: install {DEBIAN} (Debian), or set DISTORCH2_DEPS to where "
                         "python/recipe/deps.sh has built them")  # fmt: skip

    def object(self, name: str) -> None:
        """A source of the recipe, as an archive of its own."""
        made = self.deps / f"{name}.o"
        flags = ["-O2", "-fPIC", "-fvisibility=hidden"]
        run([*self.compiler, *flags, "-c", str(self.recipe / f"{name}.c"), "-o", str(made)], self.folder)
        run(["ar", "rcs", str(self.deps / f"libdt2{name}.a"), str(made)], self.folder)

    def prepare(self) -> None:
        for library, module in DEPENDENCIES.items():
            renamed = [f"--redefine-sym={each}=dt2_{each}" for each in OF_PROGRAMS]
            archive, copy = self.archive(library, module), self.deps / f"lib{library}.a"
            run(["objcopy", *renamed, str(archive), str(copy)], self.folder)
        for name in ("statics", "floor", "start"):
            self.object(name)

    # -- the build --

    def has_header(self, name: str) -> bool:
        probe = self.folder / "probe.c"
        probe.write_text(f"#include <{name}>\n")
        return subprocess.run([*self.compiler, *shlex.split(os.environ.get("CPPFLAGS", "")), "-E", str(probe)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0  # fmt: skip

    def floor_flags(self) -> list[str]:
        """On glibc 2.28 some functions were in libraries of their own, which newer ones have the names of."""
        if not self.lowered:
            return []
        names = [run([*self.compiler, f"-print-file-name={name}"], self.folder).strip()
                 for name in ("libpthread.so.0", "libdl.so.2")]  # fmt: skip
        there = [name for name in names if os.path.isabs(name)]
        return [",".join(["-Wl,--push-state,--no-as-needed", *there, "--pop-state"])]

    def configure(self) -> None:
        libs = {"HWLOC": ("hwloc", "-lhwloc -ldt2statics -lm"), "JANSSON": ("jansson", "-ljansson -ldt2statics"),
                "YAML": ("yaml", "-lyaml"), "XXHASH": ("xxhash", "-lxxhash")}  # fmt: skip
        floor = f"-L{self.deps} -ldt2floor" if self.lowered else ""
        variables = {"CFLAGS": os.environ.get("CFLAGS", "-O2"), "LIBS": floor}
        for variable, (library, flags) in libs.items():
            variables[f"{variable}_CFLAGS"] = self.pkg_config("--cflags", DEPENDENCIES[library]) or " "
            variables[f"{variable}_LIBS"] = f"-L{self.deps} {flags}"
        options = ["--quiet", "--disable-maintainer-mode", "--disable-dependency-tracking", "--without-libcrypto",
                   "--without-cairo", "--without-vendor-headers", "--without-liburing",
                   "--prefix=/nonexistent"]  # fmt: skip
        if self.has_header("CL/cl.h"):
            variables.update(OPENCL_CFLAGS=" ", OPENCL_LIBS=" ")
        else:
            options.append("--without-opencl")
        settings = [f"{key}={value}" for key, value in variables.items()]
        run([str(self.source / "configure"), *options, *settings], self.make)

    def compile(self) -> None:
        modules = [f"dt2-{name}.la" for name in ("cuda", "hip", "opencl") if self.with_driver(name)]
        jobs = len(os.sched_getaffinity(0))
        linked = " ".join(self.floor_flags())
        run(["make", f"-j{jobs}", "libdistorch2.la", "distorch2", *modules, *([f"LDFLAGS={linked}"] if linked else [])],
            self.make)  # fmt: skip

    def with_driver(self, name: str) -> bool:
        built = f'S["WITH_{name.upper()}_TRUE"]=""' in (self.make / "config.status").read_text()
        if not built:
            print(f"distorch2: the {name} module is left out of the wheel: its headers are not there")
        return built

    def link_tool(self, target: Path) -> None:
        """The tool, which finds the library beside it. As a program it needs no renamed streams."""
        start = ["-nostartfiles", str(self.deps / "start.o")] if self.lowered else []
        objects = sorted(map(str, (self.make / "src" / "cli").rglob("distorch2-*.o")))
        archives = [str(self.archive(library, DEPENDENCIES[library])) for library in ("jansson", "xxhash")]
        floor = [str(self.deps / "libdt2floor.a")] if self.lowered else []
        hardened = ["-pie", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]
        run([*self.compiler, *hardened, *start, *objects, *archives, "-o", str(target), "-Wl,-rpath,$ORIGIN/../lib",
             "-Wl,--enable-new-dtags", f"-L{self.make}/.libs", "-l:libdistorch2.so.0", *floor, *self.floor_flags()],
            self.folder)  # fmt: skip

    def abi(self) -> str:
        """The number of the library's soname, which the folder of its modules has too."""
        said = re.search(r'S\["DT2_ABI"\]="(\d+)"', (self.make / "config.status").read_text())
        if said is None:
            raise BuildError("configure does not tell the library's ABI")
        return said[1]

    def collect(self, package: Path) -> list[Path]:
        """Puts what was built into the package, stripped."""
        library, modules, programs = package / "lib", package / "lib" / "distorch2" / self.abi(), package / "bin"
        for folder in (library, modules, programs):
            folder.mkdir(parents=True, exist_ok=True)
        built = [library / "libdistorch2.so.0"]
        shutil.copyfile((self.make / ".libs" / "libdistorch2.so.0").resolve(), built[0])
        for module in sorted((self.make / ".libs").glob("dt2-*.so")):
            built.append(modules / module.name)
            shutil.copyfile(module, built[-1])
        built.append(programs / "distorch2")
        self.link_tool(built[-1])
        for each in built:
            run(["strip", "--strip-unneeded", str(each)], self.folder)
            each.chmod(0o755)
        self.licenses(library / "licenses")
        return built

    def licenses(self, target: Path) -> None:
        """Those of what is inside."""
        target.mkdir(exist_ok=True)
        for library in DEPENDENCIES:
            places = [f"{self.own}/licenses/{library}"] if self.own else []
            names = [f"lib{library}-dev"] + [f"lib{library}{n}" for n in ("0", "4", "15", "-0-2")]
            places += [f"/usr/share/doc/{name}/copyright" for name in names]
            for place in places:
                if os.path.isfile(place):
                    shutil.copyfile(place, target / library)
                    break
        shutil.copyfile(self.source / "COPYING", target / "distorch2")


def newest_glibc(files: Iterable[Path]) -> int:
    """N of the newest GLIBC_2.N that any of them asks for."""
    newest = 0
    for each in files:
        said = run(["readelf", "--version-info", "--wide", str(each)], each.parent)
        needs = said[said.find(".gnu.version_r") :]
        newest = max([newest, *(int(n) for n in re.findall(r"GLIBC_2\.(\d+)", needs))])
    return newest


def build(source: Path, recipe: Path, package: Path, folder: Path) -> str:
    """Builds into the package; the platform of the wheel's tag."""
    tree = folder / "source"
    copy_source(source, tree)
    made = Build(tree, recipe, folder)
    made.prepare()
    made.configure()
    made.compile()
    files = made.collect(package)
    needed = max(FLOOR, newest_glibc(files))
    if needed > FLOOR:
        print(f"distorch2: this wheel needs glibc 2.{needed}, since it was built with a newer one than 2.{FLOOR}")
    return f"manylinux_2_{needed}_{platform.machine()}"
