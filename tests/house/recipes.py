# SPDX-License-Identifier: BSD-3-Clause
"""Recipes and papers: one version and one address in all of them, options that configure knows, one license."""

import ast
import os
import re
import shutil
import subprocess
from pathlib import Path

import tap

SOURCE = Path(tap.SOURCE).resolve()
RECIPES = ("debian/rules", "distorch2.spec", "easybuild/distorch2.eb", "guix.scm", "spack/package.py")


def recipe(name):
    return (SOURCE / "packaging" / name).read_text(encoding="utf-8")


def facts(root, *arguments):
    return subprocess.run(["sh", f"{root}/packaging/facts.sh", *arguments], capture_output=True, text=True)


def test_all_say_the_same_of_the_project():
    said = facts(SOURCE)
    assert said.returncode == 0, said.stdout
    assert len(said.stdout.splitlines()) > 15


def test_a_fact_is_changed_in_one_place():
    files = {line.split()[1] for line in facts(SOURCE).stdout.splitlines()} | {"packaging/facts.sh"}
    root = Path(tap.scratch("facts"))
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SOURCE / name, root / name)
    for fact, new in (("version", "10.20.30"), ("address", "bugs@lists.example.net"), ("home", "https://example.net/d2")):
        before = {name: (root / name).read_text(encoding="utf-8").splitlines() for name in files}
        said = facts(root, fact, new)
        assert said.returncode == 0, said.stdout + said.stderr
        wanted = [line.split() for line in said.stdout.splitlines() if line.split()[0] == fact]
        assert len(wanted) >= 3 and {value for _, _, value in wanted} == {new}, said.stdout
        for name in files:
            after = (root / name).read_text(encoding="utf-8").splitlines()
            changed = sum(one != other for one, other in zip(before[name], after))
            assert len(after) == len(before[name]) and changed == sum(name == file for _, file, _ in wanted), name
    assert facts(root, "colour", "blue").returncode == 2 and facts(root, "version", "1|2").returncode == 2
    (root / "CITATION.cff").write_text("version: 1.2.3\n")
    said = facts(root)
    assert said.returncode == 1 and "1.2.3, and 10.20.30 in configure.ac" in said.stdout, said.stdout


def test_recipes_are_what_their_languages_take():
    for name in ("spack/package.py", "easybuild/distorch2.eb"):
        ast.parse(recipe(name))
    depth, text = 0, re.sub(r'"(\\.|[^"\\])*"|;[^\n]*', "", recipe("guix.scm"))
    for each in text:
        depth += (each == "(") - (each == ")")
        assert depth >= 0, "a parenthesis closes nothing"
    assert depth == 0, "a parenthesis is open at the end"


def test_configure_knows_their_options():
    script = SOURCE / "configure"
    if not script.exists():
        raise tap.Skip("there is no configure script")
    known = subprocess.run(["sh", str(script), "--help"], capture_output=True, text=True).stdout
    names = set(re.findall(r"--(?:with|without|enable|disable)-([a-z0-9-]+)", known))
    used = {name for each in RECIPES for name in re.findall(r"--(?:with|without|enable|disable)-([a-z0-9-]+)", recipe(each))}
    for names_of in re.findall(r"for name in \(([^)]*)\)", recipe("spack/package.py")):
        used |= set(names_of.replace('"', "").split(", "))
    assert len(used) > 6 and used <= names, used - names


def test_no_file_is_forgotten():
    if not os.path.exists(SOURCE / ".git"):
        raise tap.Skip("this is no checkout")
    list_files = ["git", "-C", str(SOURCE), "ls-files", "backends", "mpi", "python", "src", "tests"]
    names = subprocess.run(list_files, capture_output=True, text=True)
    rules = "".join(path.read_text(encoding="utf-8") for path in [SOURCE / "Makefile.am", *SOURCE.glob("*/**/files.mk")])
    kept = [name for name in names.stdout.splitlines() if not re.match(r"tests/(data|fuzz/seeds)/|.*\.gitignore$", name)]
    forgotten = [name for name in kept if name not in rules and not name.endswith("/files.mk")]
    assert len(kept) > 500 and not forgotten, f"in no Makefile, so neither run nor packed: {forgotten}"


def test_there_is_one_license():
    assert (SOURCE / "COPYING").read_bytes() == (SOURCE / "LICENSES/BSD-3-Clause.txt").read_bytes()
    if shutil.which("reuse") is None:
        raise tap.Skip("reuse is not installed")
    if not os.path.exists(SOURCE / ".git"):
        raise tap.Skip("this is no checkout")
    version = subprocess.run(["reuse", "--version"], capture_output=True, text=True).stdout
    if int(re.search(r"\d+", version).group()) < 4:
        raise tap.Skip("reuse is older than REUSE.toml: 4")
    said = subprocess.run(["reuse", "--root", str(SOURCE), "lint"], capture_output=True, text=True)
    assert said.returncode == 0, said.stdout


if __name__ == "__main__":
    tap.run_tests()
