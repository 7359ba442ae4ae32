# SPDX-License-Identifier: BSD-3-Clause
"""The ctypes declarations are those of the public headers: every function, every structure, every constant."""

import ctypes
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import distorch2
import tap
from distorch2 import _native

HEADERS = f"{tap.SOURCE}/include/distorch2"
# distorch2/backend.h is the contract with driver modules, which are not written in Python; distorch2.hpp adds nothing to C.
NAMES = [name for name in sorted(os.listdir(HEADERS)) if name.endswith(".h") and name != "backend.h"]

SCALARS = {
    "void": None,
    "int": ctypes.c_int,
    "int64_t": ctypes.c_int64,
    "unsigned": ctypes.c_uint,
    "bool": ctypes.c_bool,
    "double": ctypes.c_double,
    "size_t": ctypes.c_size_t,
    "uint64_t": ctypes.c_uint64,
    "int32_t": ctypes.c_int32,
    "int64_t": ctypes.c_int64,
    "char": ctypes.c_char,
    "dt2_log_fn": "function",
    "dt2_scan_fn": "function",
    "dt2_dtype_fn": "function",
    "dt2_open_fn": "function",
    "dt2_release_fn": "function",
    "dt2_available_fn": "function",
    "dt2_progress_fn": "function",
}


def read(path):
    return Path(path).read_text(encoding="utf-8")


def source():
    text = "".join(read(f"{HEADERS}/{name}") for name in NAMES)
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    return re.sub(r"#define[^\n]*(?:\\\n[^\n]*)*", " ", text)


def parts(declaration):
    """The base type, the number of stars, and the name of `const struct dt2_x *const *name`."""
    words = re.findall(r"\w+|\*", declaration)
    words = [word for word in words if word not in ("const", "DT2_PUBLIC")]
    if words[0] in ("struct", "enum"):
        words = [" ".join(words[:2]), *words[2:]]
    return words[0], words.count("*"), next((word for word in reversed(words[1:]) if word != "*"), None)


def expected(declaration, returned=False):
    """What ctypes should have for a declaration; None for void."""
    base, stars, _ = parts(declaration)
    if base.startswith("enum "):
        base = "int"
    if SCALARS.get(base) == "function":
        return getattr(_native, base[4:])
    if base.startswith("struct "):
        structure = getattr(_native, base[11:], None)
        if structure is None:  # opaque
            return {1: ctypes.c_void_p, 2: ctypes.POINTER(ctypes.c_void_p)}[stars]
        kind = structure
    elif base == "char" and stars:
        # What is the caller's, to free or to write to, must not be turned into bytes.
        kind, stars = (ctypes.c_char_p if "const char" in declaration else ctypes.c_void_p), stars - 1
    elif base == "void" and stars:
        kind, stars = ctypes.c_void_p, stars - 1
    else:
        kind = SCALARS[base]
    for _ in range(stars):
        kind = ctypes.POINTER(kind)
    return kind


def prototypes():
    found = {}
    for result, name, arguments in re.findall(r"DT2_PUBLIC([^;{}()]*?)\b(dt2_\w+)\(([^;{}]*?)\)\s*;", source()):
        found[name] = (result, [] if arguments.strip() == "void" else [each.strip() for each in arguments.split(",")])
    return found


def structures():
    return {
        name: [each.strip() for each in body.split(";") if each.strip()]
        for name, body in re.findall(r"struct dt2_(\w+)\s*\{([^{}]*)\}\s*;", source())
    }


def test_every_exported_function_is_declared_and_no_other():
    text = read(f"{tap.SOURCE}/src/distorch2.map")
    exported = set(re.findall(r"^ *(dt2_\w+);", text, re.M))
    assert len(exported) > 80
    assert exported == set(_native.FUNCTIONS), exported ^ set(_native.FUNCTIONS)


def test_functions_take_and_return_what_the_headers_say():
    headers = prototypes()
    assert set(headers) == set(_native.FUNCTIONS), set(headers) ^ set(_native.FUNCTIONS)
    for name, (result, arguments) in headers.items():
        declared_result, declared = _native.FUNCTIONS[name]
        assert declared_result == expected(result, True), f"{name} returns {declared_result}"
        assert len(declared) == len(arguments), f"{name} takes {len(arguments)}"
        for i, (have, want) in enumerate(zip(declared, arguments)):
            assert have == expected(want), f"{name}, argument {i + 1} ({want}): {have}"


def test_structures_have_the_members_of_the_headers():
    headers = structures()
    assert len(headers) > 20
    for name, members in headers.items():
        fields = getattr(_native, name)._fields_
        assert [field for field, _ in fields] == [parts(re.sub(r"\[.*", "", member))[2] for member in members], (
            f"struct dt2_{name}"
        )
        for (field, kind), member in zip(fields, members):
            if "[" not in member:
                assert kind == expected(member), f"struct dt2_{name}, {member}: {kind}"


def test_sizes_offsets_and_constants_are_those_of_the_compiler():
    compiler = os.environ.get("CC") or "cc"
    lines = []
    wanted = []
    for name in structures():
        structure = getattr(_native, name)
        lines.append(f'printf("%zu\\n", sizeof(struct dt2_{name}));')
        wanted.append((name, ctypes.sizeof(structure)))
        for field, _ in structure._fields_:
            lines.append(f'printf("%zu\\n", offsetof(struct dt2_{name}, {field}));')
            wanted.append((f"{name}.{field}", getattr(structure, field).offset))
    for name, value in _native.ENUMS.items():
        lines.append(f'printf("%d\\n", (int){name});')
        wanted.append((name, value))
    program = tap.scratch("sizes")
    with open(f"{program}.c", "w", encoding="utf-8") as out:
        out.write("#include <distorch2.h>\n#include <stdio.h>\nint main(void)\n{\n" + "\n".join(lines) + "\n}\n")
    command = [*shlex.split(compiler), f"-I{tap.SOURCE}/include", f"{program}.c", "-o", program]
    environment = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    try:
        subprocess.run(command, check=True, env=environment)
    except FileNotFoundError:
        raise tap.Skip(f"there is no compiler {compiler}") from None
    printed = subprocess.run([program], check=True, capture_output=True, text=True, env=environment).stdout.split()
    for (what, value), got in zip(wanted, map(int, printed)):
        assert value == got, f"{what} is {got} in C, and {value} here"
    assert len(printed) == len(wanted)


def test_every_constant_of_the_headers_is_there():
    text = source()
    names = set()
    for body in re.findall(r"enum dt2_\w+\s*\{([^{}]*)\}", text):
        names |= set(re.findall(r"\b(DT2_\w+)\b", body))
    assert names == set(_native.ENUMS), names ^ set(_native.ENUMS)


def test_versions_agree():
    configured = re.search(r"AC_INIT\(\[distorch2\], \[([^]]*)\]", read(f"{tap.SOURCE}/configure.ac"))
    project = re.search(r'^version = "(.*)"$', read(f"{tap.SOURCE}/python/pyproject.toml"), re.M)
    assert configured and project
    assert distorch2.__version__ == configured[1] == project[1] == distorch2.library_version()


def test_a_library_that_is_not_there_is_named():
    environment = {**os.environ, "DISTORCH2_LIBRARY": "/nowhere/libdistorch2.so.0"}
    done = subprocess.run([sys.executable, "-c", "import distorch2; distorch2.Context"], env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "/nowhere/libdistorch2.so.0" in done.stderr and "DISTORCH2_LIBRARY" in done.stderr, done.stderr


if __name__ == "__main__":
    tap.run_tests()
