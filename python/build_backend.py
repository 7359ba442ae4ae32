# SPDX-License-Identifier: BSD-3-Clause
"""How pip builds the package: by setuptools, from a copy of this folder. setuptools writes into the source (build,
distorch2.egg-info), and a checkout is to stay as it was."""

import contextlib
import os
import shutil
import tempfile

from setuptools import build_meta


@contextlib.contextmanager
def _in_a_copy():
    here = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="distorch2-build-") as folder:
        copy = os.path.join(folder, "python")
        shutil.copytree(here, copy, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
        for path, _, _ in os.walk(copy):
            os.chmod(path, 0o755)  # a source that is read-only makes a copy that is
        os.chdir(copy)
        try:
            yield
        finally:
            os.chdir(here)


def get_requires_for_build_wheel(config_settings=None):
    with _in_a_copy():
        return build_meta.get_requires_for_build_wheel(config_settings)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    target = os.path.abspath(wheel_directory)
    with _in_a_copy():
        return build_meta.build_wheel(target, config_settings, metadata_directory)


def get_requires_for_build_sdist(config_settings=None):
    with _in_a_copy():
        return build_meta.get_requires_for_build_sdist(config_settings)


def build_sdist(sdist_directory, config_settings=None):
    target = os.path.abspath(sdist_directory)
    with _in_a_copy():
        return build_meta.build_sdist(target, config_settings)


# Whoever installs with -e wants the checkout itself.
get_requires_for_build_editable = build_meta.get_requires_for_build_editable
prepare_metadata_for_build_editable = build_meta.prepare_metadata_for_build_editable
build_editable = build_meta.build_editable

# Python wrote down what this file compiles to before it ran the first line.
with contextlib.suppress(OSError, TypeError):
    os.remove(__spec__.cached)
    os.rmdir(os.path.dirname(__spec__.cached))
