# SPDX-License-Identifier: BSD-3-Clause
"""How pip builds the package: by setuptools, from a copy of this folder. setuptools writes into the source (build,
distorch2.egg-info), and a checkout is to stay as it was.

In distorch2's source tree, and from an sdist, the wheel has the library, its driver modules and the tool too:
build_native.py. ``--config-settings native=no``, or this folder by itself, make one without, for an installed library.
"""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import build_native
from setuptools import build_meta

# A wheel for a machine and any Python: setuptools has no such thing by itself.
SETUP = """
from setuptools import Distribution, setup
try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:
    from wheel.bdist_wheel import bdist_wheel

class WithFiles(Distribution):
    def has_ext_modules(self):
        return True

class Wheel(bdist_wheel):
    def get_tag(self):
        return "py3", "none", {platform!r}

setup(distclass=WithFiles, cmdclass={{"bdist_wheel": Wheel}})
"""


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


def _add_native(package):
    """Builds what is native into the copy; says in setup.py for which platform it is."""
    source = build_native.source_of(package)
    if source is None:
        return
    copy = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="distorch2-native-") as folder:
        try:
            platform = build_native.build(source, package / "recipe", copy / "distorch2", Path(folder))
        except build_native.BuildError as error:
            raise SystemExit(f"distorch2: {error}\n(--config-settings native=no: without the library)") from None
    (copy / "setup.py").write_text(SETUP.format(platform=platform))


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    target = os.path.abspath(wheel_directory)
    settings = dict(config_settings or {})
    native = settings.pop("native", "yes") != "no"
    package = Path.cwd()
    with _in_a_copy():
        if native:
            _add_native(package)
        return build_meta.build_wheel(target, settings, metadata_directory)


def get_requires_for_build_sdist(config_settings=None):
    with _in_a_copy():
        return build_meta.get_requires_for_build_sdist(config_settings)


def build_sdist(sdist_directory, config_settings=None):
    target = os.path.abspath(sdist_directory)
    source = build_native.source_of(Path.cwd())
    with _in_a_copy():
        if source is not None and not os.path.isdir("native"):
            build_native.copy_source(source, Path("native"))
        return build_meta.build_sdist(target, config_settings)


# Whoever installs with -e wants the checkout itself.
get_requires_for_build_editable = build_meta.get_requires_for_build_editable
prepare_metadata_for_build_editable = build_meta.prepare_metadata_for_build_editable
build_editable = build_meta.build_editable

# Python wrote down what these files compile to before it ran their first lines.
for module in (build_native.__spec__, __spec__):
    with contextlib.suppress(OSError, TypeError):
        os.remove(module.cached)
        os.rmdir(os.path.dirname(module.cached))
