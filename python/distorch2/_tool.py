# SPDX-License-Identifier: BSD-3-Clause
"""The command ``distorch2`` of a wheel: the tool itself, which takes this process's place."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def main() -> int:
    """Runs the tool that is in the wheel; where the package was installed without, one in $PATH that is not this script."""
    here = Path(__file__).resolve().parent / "bin" / "distorch2"
    found = str(here) if here.is_file() else _in_path()
    if found is None:
        print("distorch2: this package was installed without the tool: build its wheel in distorch2's source tree, or "
              "install distorch2 itself", file=sys.stderr)  # fmt: skip
        return 127
    try:
        os.execv(found, ["distorch2", *sys.argv[1:]])
    except OSError as problem:
        print(f"distorch2: {found} cannot be run: {problem.strerror}", file=sys.stderr)
    return 126


def _in_path() -> str | None:
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    script = os.path.realpath(sys.argv[0])
    others = [each for each in folders if os.path.realpath(os.path.join(each, "distorch2")) != script]
    return shutil.which("distorch2", path=os.pathsep.join(others))
