# SPDX-License-Identifier: BSD-3-Clause
"""The ABI that programs and drivers were built against stays: a program of that time runs on the library as it is now, and what
the headers of then declare is there now as it was. tests/data/abi/README tells which headers those are."""

import os
import re
import subprocess
from pathlib import Path

import tap

OLD = f"{tap.SOURCE}/tests/data/abi/1"
NEW = f"{tap.SOURCE}/include"
COMPILER = os.environ.get("CC") or "cc"

# Structs of which programs pass arrays, and the error: these never change.
FIXED = {"dt2_block", "dt2_limit", "dt2_memory", "dt2_native_context", "dt2_gang", "dt2_error", "dt2_backend_error"}


def source(root):
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(Path(root, "distorch2").glob("*.h")))
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    return re.sub(r"#define[^\n]*(?:\\\n[^\n]*)*", " ", text)


def prototypes(root):
    """Functions and callbacks: name, and the declaration in one line."""
    text = source(root)
    found = re.findall(r"(?:DT2_PUBLIC|typedef)[^;{}]*?\b(dt2_\w+)\([^;{}]*\)\s*;", text)
    lines = re.findall(r"(?:DT2_PUBLIC|typedef)[^;{}]*?\bdt2_\w+\([^;{}]*\)\s*;", text)
    return {name: " ".join(line.split()) for name, line in zip(found, lines)}


def enumerators(root):
    return re.findall(r"\b(DT2_\w+)\b(?=[^{}]*\})", " ".join(re.findall(r"enum dt2_\w+\s*(\{[^{}]*\})", source(root))))


def members(root):
    """Of each struct the names of its members, those that are functions too."""
    found = {}
    for name, body in re.findall(r"struct (dt2_\w+)\s*\{([^{}]*)\}\s*;", source(root)):
        parts = [part for part in body.split(";") if part.strip()]
        found[name] = [
            (re.search(r"\(\*(\w+)\)", part) or re.search(r"(\w+)\s*(?:\[[^\]]*\]\s*)*$", part.rstrip()))[1] for part in parts
        ]
    return found


def layout(root, structs, names):
    """Size of each struct, place and size of each member, and value of each enumerator, as a compiler sees them there."""
    lines = []
    for struct in structs:
        lines.append(f'printf("{struct} %zu\\n", sizeof(struct {struct}));')
        for member in structs[struct]:
            of = f"((struct {struct} *)0)->{member}"
            lines.append(f'printf("{struct}.{member} %zu+%zu\\n", offsetof(struct {struct}, {member}), sizeof {of});')
    lines += [f'printf("{name} %lld\\n", (long long){name});' for name in names]
    program = tap.scratch(f"layout-{os.path.basename(root)}")
    Path(f"{program}.c").write_text(
        "#include <distorch2.h>\n#include <distorch2/backend.h>\n#include <stdio.h>\nint main(void)\n{\n" + "\n".join(lines) + "\n}\n",
        encoding="utf-8",
    )
    subprocess.run([*COMPILER.split(), f"-I{root}", f"{program}.c", "-o", program], check=True)
    said = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return dict(line.split(" ", 1) for line in said.splitlines())


def run_program(headers):
    program = tap.scratch("program")
    strict = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
    link = [f"-L{tap.BUILD}/.libs", "-ldistorch2", "-o", program]
    built = subprocess.run(
        [*COMPILER.split(), *strict, f"-I{headers}", f"{OLD}/program.c", *link], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    where = f"{tap.BUILD}/.libs:{os.environ.get('LD_LIBRARY_PATH', '')}"
    done = subprocess.run([program, tap.layout("tiny")], env={**os.environ, "LD_LIBRARY_PATH": where}, capture_output=True, text=True)
    wrong = [line for line in done.stdout.splitlines() if not line.startswith("ok ")]
    assert done.returncode == 0 and len(wrong) == 1 and wrong[0].startswith("1.."), "\n".join([*wrong, done.stderr])
    tap.diag(f"{len(done.stdout.splitlines()) - 1} checks")


def test_an_old_program_runs_on_the_library_as_it_is():
    run_program(OLD)


def test_it_compiles_with_the_headers_as_they_are():
    run_program(NEW)


def test_functions_and_callbacks_are_declared_as_they_were():
    old, new = prototypes(OLD), prototypes(NEW)
    assert len(old) > 100
    changed = [f"{name}: {old[name]}\n  now: {new.get(name)}" for name in old if new.get(name) != old[name]]
    assert not changed, "\n".join(changed)


def test_members_and_enumerators_are_where_they_were():
    structs, names = members(OLD), enumerators(OLD)
    assert len(structs) > 25 and len(names) > 40 and len(structs["dt2_backend"]) > 35
    old, new = layout(OLD, structs, names), layout(NEW, structs, names)
    moved = [f"{what}: {place}, now {new[what]}" for what, place in old.items() if what not in structs and new[what] != place]
    assert not moved, "\n".join(moved)
    sizes = {struct: (int(old[struct]), int(new[struct])) for struct in structs}
    shrunk = [f"{struct}: {a} bytes, now {b}" for struct, (a, b) in sizes.items() if b < a or (struct in FIXED and a != b)]
    assert not shrunk, "\n".join(shrunk)


def test_no_member_was_put_into_padding():
    """What is new lies behind the whole of the old struct: an older program's padding is not looked at."""
    old, new = members(OLD), members(NEW)
    within = []
    now = layout(NEW, {name: new[name] for name in old}, [])
    then = layout(OLD, old, [])
    for struct, had in old.items():
        for member in new[struct]:
            place = int(now[f"{struct}.{member}"].split("+")[0])
            if member not in had and place < int(then[struct]):
                within.append(f"{struct}.{member} lies at {place}, the struct had {then[struct]} bytes")
    assert not within, "\n".join(within)


def test_structs_that_programs_make_begin_with_their_size():
    """Those with an ..._INIT, which can grow for that."""
    text = "".join(path.read_text(encoding="utf-8") for path in Path(NEW, "distorch2").glob("*.h"))
    made = {name.lower() for name in re.findall(r"#define (DT2_\w+)_INIT\b", text)}
    assert len(made) > 10
    now = members(NEW)
    assert all(now[name][0] == "struct_size" for name in made), made
    assert not made & FIXED


if __name__ == "__main__":
    tap.run_tests()
