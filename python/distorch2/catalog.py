# SPDX-License-Identifier: BSD-3-Clause
"""The catalogue: model files in ComfyUI's folders, in ComfyUI's order, under ComfyUI's names."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator, Sequence
from ctypes import byref, c_void_p
from dataclasses import dataclass
from typing import Any, Optional, Union

from . import _native
from ._core import call, encode, known, made, string_array, taken_text, text
from ._handle import Handle, frees
from ._log import Log, log_callback
from ._native import lib

Path = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class Entry:
    """One model file: its name below its folder, and the absolute path. ``bytes`` is None when the file is gone."""

    name: str
    path: str
    folder: str
    bytes: Optional[int]

    def __fspath__(self) -> str:
        return self.path


class Catalog(Handle, Sequence):  # type: ignore[type-arg]
    """A scanned catalogue: a sequence of :class:`Entry`, sorted by name. Threads that use it at once take turns."""

    _what = "catalogue"

    def __init__(
        self,
        comfyui: Optional[Path] = None,
        extra_model_paths: Sequence[Path] = (),
        category: Optional[str] = None,
        log: Log = None,
    ) -> None:
        """``comfyui`` is ComfyUI's base directory (else $COMFYUI_PATH, else what is found); ``extra_model_paths`` are
        further YAML files; ``category`` is a folder category of ComfyUI's, "controlnet" unless given; ``log`` takes
        warnings, as of :class:`Context`."""
        paths = [path for path in map(encode, extra_model_paths) if path is not None]
        options = _native.catalog_options(
            struct_size=ctypes.sizeof(_native.catalog_options),
            comfyui=encode(comfyui),
            extra_model_paths=string_array(paths),
            extra_model_path_count=len(paths),
            category=encode(category),
        )
        callback = log_callback(log)
        pointer = made(lib.dt2_catalog_open, byref(options), callback, None)
        self._turn = threading.RLock()  # refresh() replaces what the others read
        super().__init__(pointer, frees(lib.dt2_catalog_free), callback)

    def _entry(self, index: int) -> Entry:
        with self._call() as catalog, self._turn:
            raw = lib.dt2_catalog_get(catalog, index)
            if not raw:
                raise IndexError(f"the catalogue has {len(self)} models")
            name, path, folder = raw[0].name.decode(), os.fsdecode(raw[0].path), os.fsdecode(raw[0].folder)
            return Entry(name, path, folder, known(lib.dt2_catalog_bytes(raw)))

    def refresh(self) -> tuple[int, int]:
        """Looks again, and tells how many models came and how many went."""
        changes = _native.catalog_changes()
        with self._call() as catalog, self._turn:
            call(lib.dt2_catalog_refresh, catalog, byref(changes))
        return changes.added, changes.removed

    def resolve(self, model: Path) -> str:
        """The path of what a user calls a model: a catalogue name first, else a path."""
        path = c_void_p()
        with self._call() as catalog, self._turn:
            call(lib.dt2_catalog_resolve, catalog, encode(model), byref(path))
        return taken_text(path.value)

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders that are searched, in order, whether they exist or not."""
        with self._call() as catalog, self._turn:
            count = lib.dt2_catalog_folder_count(catalog)
            return tuple(text(lib.dt2_catalog_folder(catalog, i)) or "" for i in range(count))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._entry(i) for i in range(*index.indices(len(self)))]
        return self._entry(index + len(self) if index < 0 else index)

    def __len__(self) -> int:
        with self._call() as catalog, self._turn:
            return int(lib.dt2_catalog_count(catalog))

    def __iter__(self) -> Iterator[Entry]:
        return (self._entry(i) for i in range(len(self)))

    def __repr__(self) -> str:
        return "<Catalog, closed>" if self.closed else f"<Catalog of {len(self)} models>"
