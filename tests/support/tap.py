# SPDX-License-Identifier: BSD-3-Clause
"""TAP for tests in Python: functions that are called test_... are run in order, each a test; what they assert must
hold."""

import contextlib
import inspect
import os
import shutil
import subprocess
import sys
import tempfile
import traceback

SOURCE = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.environ.get("top_builddir", os.path.join(SOURCE, "build"))


class Skip(Exception):
    """Raised by a test that cannot be run here, with the reason."""


def diag(text):
    for line in str(text).splitlines():
        print(f"# {line}", flush=True)


@contextlib.contextmanager
def raises(kind, *parts):
    """The body raises ``kind``, and its text has each of ``parts``; the exception is in the list that is given."""
    caught = []
    try:
        yield caught
    except kind as raised:
        caught.append(raised)
        for part in parts:
            assert part in str(raised), f"{part!r} is not in: {raised}"
    else:
        raise AssertionError(f"{kind} was not raised")


_folder = None


def scratch(name=""):
    """A path in a folder that is removed at the end."""
    global _folder
    if _folder is None:
        _folder = tempfile.mkdtemp(prefix="distorch2-test-")
    return os.path.join(_folder, name)


def remove_scratch():
    if _folder is not None:
        shutil.rmtree(_folder, ignore_errors=True)


def count(number, what):
    """One of the lines that are summed over all tests by what was counted."""
    print(f"# count: {number} {what}", flush=True)


def layout(name, seed=1):
    """A model of a layout in tests/data/layouts, made once."""
    path = scratch(f"{name}-{seed}.safetensors")
    if not os.path.exists(path):
        subprocess.run(
            [f"{BUILD}/tests/support/mkmodel", f"{SOURCE}/tests/data/layouts/{name}.tsv", path, "--seed", str(seed)],
            check=True,
        )
    return path


def run_tests(namespace=None):
    """Runs the tests of a module (the caller's), and ends the process."""
    tests = [
        (name, function)
        for name, function in (namespace or sys._getframe(1).f_globals).items()
        if name.startswith("test_") and inspect.isfunction(function)
    ]
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for number, (name, function) in enumerate(tests, 1):
        what = f"{number} - {name[5:].replace('_', ' ')}"
        try:
            function()
            print(f"ok {what}", flush=True)
        except Skip as reason:
            print(f"ok {what} # SKIP {reason}", flush=True)
        except BaseException:  # also an interrupt that went astray
            failed += 1
            print(f"not ok {what}", flush=True)
            diag(traceback.format_exc())
    remove_scratch()
    sys.exit(failed > 0)
