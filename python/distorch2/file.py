# SPDX-License-Identifier: BSD-3-Clause
"""Tier 1: a model file as a table of tensors, and as blocks in the order in which its network uses them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from ctypes import POINTER, addressof, byref, c_char, c_char_p, c_size_t, c_uint64, create_string_buffer, sizeof
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Callable, Optional, Union

from . import _native
from ._core import call, encode, made, speed, text
from ._handle import Handle, frees
from ._native import lib
from .errors import UsageError
from .sizes import Size, in_bytes

Path = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class TensorInfo:
    """What a file says of a tensor. ``dtype`` is the safetensors name, such as "BF16"; shapes are outermost first."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    file: str
    offset: int


@dataclass(frozen=True)
class Block:
    """Tensors that are placed, and streamed, together. ``tensors`` are indices in the file or the model."""

    index: int
    name: str
    bytes: int
    tensors: tuple[int, ...]


@dataclass(frozen=True)
class Traits:
    """What names and shapes tell of a network; None: unknown."""

    needs_base: bool
    differences: bool
    inpaint: bool
    hint_channels: Optional[int]
    union_types: Optional[int]


@dataclass(frozen=True)
class FileSpeeds:
    """Rates in 10^9 bytes a second; None: cannot be had here. ``cold``: from the disk, through the page cache or
    ``direct``, past it; ``fresh`` and ``touched``: from the page cache into memory that was not, or was, used before."""

    bytes: int
    cold_gbps: Optional[float]
    cold_direct_gbps: Optional[float]
    fresh_gbps: Optional[float]
    touched_gbps: Optional[float]


def tensor_info(raw: _native.tensor) -> TensorInfo:
    return TensorInfo(
        name=text(raw.name) or "",
        dtype=raw.dtype.decode(),
        shape=tuple(raw.shape[: raw.rank]) if raw.rank else (),
        bytes=raw.bytes,
        file=os.fsdecode(raw.file),
        offset=raw.offset,
    )


def block_of(index: int, raw: _native.block) -> Block:
    return Block(index, text(raw.name) or "", raw.bytes, tuple(raw.tensors[: raw.tensor_count]) if raw.tensors else ())


def read_tensor(function: Callable[..., int], pointer: int, index: int, size: int, into: Any) -> Any:
    """Fills ``into``, or a new bytearray, which it returns, with a tensor's bytes."""
    target = bytearray(size) if into is None else into
    view = memoryview(target)
    if view.readonly or not view.contiguous:
        raise UsageError("a tensor is read into contiguous memory that can be written")
    if view.nbytes != size:
        raise UsageError(f"the memory has {view.nbytes} bytes, and the tensor {size}")
    memory = (c_char * size).from_buffer(view.cast("B") if size else bytearray(1))
    call(function, pointer, index, memory, size)
    return target


Dtype = Union[str, Mapping[str, str], Callable[[TensorInfo], Optional[str]]]
Gangs = Union[Iterable[Sequence[Union[int, str]]], Mapping[str, Sequence[Union[int, str]]]]


class _Storing:
    """A ``struct dt2_storing`` for one call, with all that it points to."""

    def __init__(self, file: File, dtype: Dtype, gangs: Gangs) -> None:
        self._answers: dict[bytes, Any] = {}
        if isinstance(dtype, str):
            every, callback = encode(dtype), _native.dtype_fn()
        else:
            every, callback = None, _native.dtype_fn(self._on_tensor)
            answer = dtype if callable(dtype) else lambda info: dtype.get(info.name)
            for info in file.tensors:
                wish = answer(info)
                self._answers[encode(info.name) or b""] = None if wish is None else create_string_buffer(encode(wish))
        named = list(gangs.items()) if isinstance(gangs, Mapping) else [(None, members) for members in gangs]
        self._lists = [self._indices(file, members) for _, members in named]
        structs = [
            _native.gang(encode(name), members, len(members)) for (name, _), members in zip(named, self._lists)
        ]
        array = (_native.gang * len(structs))(*structs) if structs else POINTER(_native.gang)()
        self.raw = _native.storing(sizeof(_native.storing), every, callback, None, array, len(structs))

    @staticmethod
    def _indices(file: File, members: Sequence[Union[int, str]]) -> Any:
        indices = [file.find(each) if isinstance(each, str) else range(len(file.tensors))[each] for each in members]
        return (c_size_t * len(indices))(*indices)

    def _on_tensor(self, _data: Any, tensor: Any) -> Optional[int]:
        answer = self._answers.get(tensor[0].name)
        return None if answer is None else addressof(answer)


@contextmanager
def opened(file: Union[File, Path], dtype: Dtype) -> Iterator[File]:
    """The file as it is stored in that dtype; what had to be opened or made for that is closed at the end."""
    with ExitStack() as ends:
        if not isinstance(file, File):
            file = ends.enter_context(File(file))
        yield file if dtype == "keep" else ends.enter_context(file.stored(dtype))


@contextmanager
def placed(file: File, place: Optional[str]) -> Iterator[tuple[Any, Any]]:
    """The file and its blocks, by pointer; those that the patterns of ``place`` send to different devices are cut."""
    with file._call() as pointer, file._blocks._call() as blocks:
        if not place:
            yield pointer, blocks
            return
        cut = made(lib.dt2_blocks_cut, blocks, pointer, encode(place))
        try:
            yield pointer, cut
        finally:
            lib.dt2_blocks_free(cut)


class _Blocks(Handle):
    _what = "list of blocks"


class File(Handle):
    """An open model file, checked, with its blocks. The data stay on disk until they are read or loaded."""

    _what = "file"

    def __init__(self, path: Path, *, key: Optional[str] = None, all_tensors: bool = False) -> None:
        how = _native.file_options(sizeof(_native.file_options), encode(key))
        self._opened(made(lib.dt2_file_open_with, encode(path), byref(how)), all_tensors)

    @classmethod
    def _of(cls, pointer: int, all_tensors: bool) -> File:
        file = cls.__new__(cls)
        file._opened(pointer, all_tensors)
        return file

    def _opened(self, pointer: int, all_tensors: bool) -> None:
        super().__init__(pointer, frees(lib.dt2_file_free))
        self._all_tensors = all_tensors
        make = lib.dt2_blocks_make_all if all_tensors else lib.dt2_blocks_make
        self._blocks = _Blocks(made(make, pointer), frees(lib.dt2_blocks_free), within=self)

    def close(self) -> None:
        self._use.refuse_within()
        self._blocks.close()
        super().close()

    @property
    def path(self) -> str:
        """The path as it was given."""
        with self._call() as file:
            return os.fsdecode(lib.dt2_file_path(file))

    @property
    def format(self) -> str:
        """ "safetensors", "pytorch-zip", "gguf", ..."""
        with self._call() as file:
            return lib.dt2_file_format(file).decode()  # type: ignore[no-any-return]

    @property
    def total_bytes(self) -> int:
        """Of all tensors; those that are one tensor under several names count once."""
        with self._call() as file:
            return int(lib.dt2_file_total_bytes(file))

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change when the table of tensors does."""
        with self._call() as file:
            return lib.dt2_file_fingerprint(file).decode()  # type: ignore[no-any-return]

    @cached_property
    def tensors(self) -> tuple[TensorInfo, ...]:
        """Tensors in the order of their data in the file."""
        with self._call() as file:
            count = lib.dt2_file_tensor_count(file)
            return tuple(tensor_info(lib.dt2_file_tensor(file, i)[0]) for i in range(count))

    @cached_property
    def metadata(self) -> dict[str, str]:
        """The format's free-form metadata."""
        pairs = {}
        key, value = c_char_p(), c_char_p()
        with self._call() as file:
            for i in range(lib.dt2_file_metadata_count(file)):
                lib.dt2_file_metadata(file, i, byref(key), byref(value))
                pairs[text(key.value) or ""] = text(value.value) or ""
        return pairs

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Blocks in execution order; in file order when the network is not recognised."""
        with self._blocks._call() as blocks:
            array = lib.dt2_blocks_array(blocks)
            return tuple(block_of(i, array[i]) for i in range(lib.dt2_blocks_count(blocks)))

    @property
    def left_out(self) -> tuple[int, int]:
        """How many tensors the network does not read, and their bytes: they are in no block, and not loaded."""
        bytes = c_uint64()
        with self._blocks._call() as blocks:
            return int(lib.dt2_blocks_left_out(blocks, byref(bytes))), bytes.value

    @property
    def family(self) -> Optional[str]:
        """ "sd1", "sdxl", ...; None when unknown."""
        with self._blocks._call() as blocks:
            return text(lib.dt2_blocks_family(blocks))

    @property
    def variant(self) -> Optional[str]:
        """ "cldm", "diffusers", ...; None when unknown: blocks are then in file order."""
        with self._blocks._call() as blocks:
            return text(lib.dt2_blocks_variant(blocks))

    @property
    def traits(self) -> Traits:
        """What else names and shapes tell of the network."""
        with self._blocks._call() as blocks:
            raw = lib.dt2_blocks_traits(blocks)[0]
            hint_channels, union_types = raw.hint_channels or None, raw.union_types or None
            return Traits(raw.needs_base, raw.differences, raw.inpaint, hint_channels, union_types)

    def find(self, name: str) -> int:
        """The index of a tensor; the error names the nearest when there is none."""
        index = c_size_t()
        with self._call() as file:
            call(lib.dt2_file_find, file, encode(name), byref(index))
        return index.value

    def read(self, tensor: Union[int, str], into: Any = None) -> Any:
        """One tensor's bytes: a new bytearray, or ``into``, writable memory of exactly its size."""
        index = self.find(tensor) if isinstance(tensor, str) else range(len(self.tensors))[tensor]
        with self._call() as file:
            return read_tensor(lib.dt2_file_read, file, index, self.tensors[index].bytes, into)

    @property
    def dtype(self) -> str:
        """In which dtype its tensors are stored: "keep" for a file as it was opened, "F16", "BF16", "F32", "mixed"."""
        with self._call() as file:
            return lib.dt2_file_dtype(file).decode()  # type: ignore[no-any-return]

    def stored(self, dtype: Dtype = "keep", gangs: Gangs = ()) -> File:
        """The same model as it will be stored; this file may be closed before it.

        ``dtype``: "keep", "f16", "bf16" or "f32" for all floating-point tensors of 16 bits and more and quantised ones;
        or for each by itself, a mapping from names (others are kept) or a function of a :class:`TensorInfo`. ``gangs``:
        lists of tensors, by name or index, that lie side by side wherever they are loaded to, and are one tensor more; as
        a mapping, under the names that it gives, else under theirs joined by "+".
        """
        how = _Storing(self, dtype, gangs)
        with self._call() as file:
            return File._of(made(lib.dt2_file_stored, file, byref(how.raw)), self._all_tensors)

    def check_unchanged(self) -> None:
        """Raises when the file on disk is no longer the one that was opened, and says what changed."""
        with self._call() as file:
            call(lib.dt2_file_unchanged, file)

    def measure(self, most: Size = 0) -> FileSpeeds:
        """How fast plain reads of it are, of at most ``most`` bytes each time (0: 512 MiB). What the page cache has of it
        is dropped on the way."""
        raw = _native.file_speeds()
        with self._call() as file:
            call(lib.dt2_file_measure, file, in_bytes(most, "most"), byref(raw))
        rates = (raw.cold_gbps, raw.cold_direct_gbps, raw.fresh_gbps, raw.touched_gbps)
        return FileSpeeds(raw.bytes, *map(speed, rates))

    def drop_cache(self) -> None:
        """Asks the kernel to drop what it has of it in its page cache: the next read is a cold one."""
        with self._call() as file:
            lib.dt2_file_drop_cache(file)

    def __repr__(self) -> str:
        return "<File, closed>" if self.closed else f"<File {self.path}>"
