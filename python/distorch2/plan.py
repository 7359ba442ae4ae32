# SPDX-License-Identifier: BSD-3-Clause
"""Tier 2: which block goes where. Planning touches nothing, and gives the same answer every time."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ctypes import POINTER
from dataclasses import dataclass, field, fields, replace
from typing import Any, Callable, Literal, Optional, Union

from . import _native
from ._core import encode, known, made, speed, taken_text, text
from ._native import lib
from .devices import Devices
from .errors import DistorchError, UsageError
from .file import Dtype, File, opened, placed
from .sizes import Size, format_size, in_bytes, parse_gib

ReleaseFunction = Callable[[str, int], int]
"""Asked to free memory of a device, by so many bytes; tells how many it expects to have freed."""
AvailableFunction = Callable[[str, Optional[int]], Optional[int]]
"""Asked how many bytes of a device are free as the program knows it: with what its own allocator would give up, or without what
it needs itself. It is told what driver or kernel say, None where they do not; None for an answer: that."""


@dataclass(frozen=True)
class Request:
    """What is wanted. The first five are the inputs of ComfyUI's node ControlNetLoaderDisTorch2MultiGPU, with its
    defaults.

    Devices may be named in any spelling. Sizes are bytes, or words such as "1.5gb".
    """

    compute_device: Optional[str] = None
    """Where the network computes; None: the first GPU, else "cpu"."""
    virtual_vram_gb: Union[float, str, None] = None
    """GiB to keep off the compute device, 0 to 128; None: the node's 4."""
    donor_device: Optional[str] = None
    """Who takes them: names separated by ','; None: "cpu"."""
    expert_mode_allocations: Optional[str] = None
    """An exact list of shares, such as "cuda:0,50%;cpu,*"."""
    eject_models: bool = True
    """Unload what has bytes on the compute device first."""
    pack: bool = False
    """Fill gaps in quotas with blocks of the share that absorbs."""
    reserves: Mapping[str, Size] = field(default_factory=dict)
    """Bytes to leave free, by device or budget; others keep their defaults."""
    budgets: Mapping[str, Size] = field(default_factory=dict)
    """Bytes that may be used outright, whatever is free."""
    credits: Mapping[str, Size] = field(default_factory=dict)
    """Bytes that will be free by then; for :func:`make_plan` alone."""
    place: Optional[str] = None
    """Blocks by name, whatever the rest says: "PATTERN=DEVICE;...", where "*" is any text."""
    alignment_bytes: int = 0
    """Of each tensor, at least; a power of two."""
    padding_bytes: int = 0
    """Behind each tensor: they belong to no other one."""
    resident: bool = False
    """Blocks are used where they lie: no window, and no sessions."""
    fit: bool = False
    """What does not fit is changed to the nearest that does; the plan's warnings say so."""
    share: Union[bool, Literal["none", "node", "only"]] = False
    """What lies in host memory is there once for all processes of the user that load the same file: where that can be (True, "node"),
    or else the load fails ("only"). Such tensors can only be read: writing to one ends the program."""
    auto: bool = False
    """The placement is chosen: the least predicted stall a pass, within the budgets."""
    window: Optional[Size] = None
    """Of the window for streaming; None: twice the largest block that streams."""
    step_seconds: Optional[float] = None
    """That a pass computes, for predictions; None: it is estimated."""
    dtype: Dtype = "keep"
    """How tensors are stored: as :meth:`File.stored` has it. For what is planned or loaded from a path or an opened file."""
    release: Optional[ReleaseFunction] = None
    """Called in a load that does not fit, as long as what is short becomes less by it."""
    available: Optional[AvailableFunction] = None
    """What of memory the program would give up, or needs itself: planned with instead of what driver or kernel say is free. A load
    that takes of what is not free yet asks ``release`` for it first."""


REQUEST_OPTIONS = frozenset(each.name for each in fields(Request))


def requested(request: Optional[Request], options: Mapping[str, Any]) -> Request:
    """The request with single options of it given as keywords."""
    unknown = sorted(set(options) - REQUEST_OPTIONS)
    if unknown:
        raise TypeError(f"a request has no option {unknown[0]!r}; it has {', '.join(sorted(REQUEST_OPTIONS))}")
    return replace(request or Request(), **options)


def _limits(sizes: Mapping[str, Size], what: str) -> tuple[Any, int]:
    limits = [_native.limit(encode(name), in_bytes(size, f"{what} of {name}")) for name, size in sizes.items()]
    return ((_native.limit * len(limits))(*limits) if limits else POINTER(_native.limit)()), len(limits)


def _share_mode(share: Union[bool, str]) -> int:
    name = ("node" if share else "none") if isinstance(share, bool) else share
    mode = _native.ENUMS.get(f"DT2_SHARE_{name.upper()}") if isinstance(name, str) else None
    if mode is None:
        raise ValueError(f"share is {share!r}; it may be True, False, 'none', 'node' or 'only'")
    return mode


class NativeRequest:
    """A ``struct dt2_request`` for one call, with all that it points to, and what its callback raised."""

    def __init__(self, request: Request) -> None:
        self.raised: Optional[BaseException] = None
        self._release = request.release
        self._available = request.available
        gib = request.virtual_vram_gb
        words = gib if gib is None or isinstance(gib, str) else format(gib, "f")
        callback = _native.release_fn(self._on_release) if request.release else _native.release_fn()
        available = _native.available_fn(self._on_available) if request.available else _native.available_fn()
        self.raw = _native.request(
            ctypes.sizeof(_native.request),
            encode(request.compute_device),
            _native.UNKNOWN if words is None else parse_gib(words),
            encode(request.donor_device),
            encode(request.expert_mode_allocations),
            request.eject_models,
            request.pack,
            *_limits(request.reserves, "reserve"),
            *_limits(request.budgets, "budget"),
            callback,
            None,
            *_limits(request.credits, "credit"),
            encode(request.place),
            request.alignment_bytes,
            request.padding_bytes,
            request.resident,
            available,
            None,
            _native.ENUMS["DT2_REQUEST_FIT"] * request.fit | _native.ENUMS["DT2_REQUEST_AUTO"] * request.auto,
            _share_mode(request.share),
            0 if request.window is None else in_bytes(request.window, "window"),
            _native.UNKNOWN if request.step_seconds is None else int(request.step_seconds * 1e9),
        )

    @contextmanager
    def calling(self) -> Iterator[Any]:
        """The request, for a call that plans: what a callback raised in it comes out instead of all else."""
        try:
            yield ctypes.byref(self.raw)
        except DistorchError:
            if self.raised is None:
                raise
        if self.raised is not None:
            raise self.raised from None

    def _on_release(self, _data: Any, device: bytes, count: int) -> int:
        assert self._release is not None
        try:
            return max(0, int(self._release(device.decode(), count)))
        except BaseException as raised:  # carried over the C frames, and raised by the load
            self.raised = raised
            return 0

    def _on_available(self, _data: Any, device: bytes, free: int) -> int:
        assert self._available is not None
        try:
            told = self._available(device.decode(), known(free))
            return _native.UNKNOWN if told is None else max(0, int(told))
        except BaseException as raised:
            self.raised = self.raised or raised
            return 0  # nothing fits, and nobody goes for it


@dataclass(frozen=True)
class Share:
    """What one device gets. ``quota_bytes`` is None for a wildcard; ``blocks`` are indices in execution order."""

    device: str
    quota_bytes: Optional[int]
    bytes: int
    cost_bytes: int
    absorbs: bool
    blocks: tuple[int, ...]
    runs: int
    load_seconds: Optional[float] = None
    """Predicted: from the beginning of a load to its last byte here, of a file in the page cache."""
    load_cold_seconds: Optional[float] = None
    stream_gbps: Optional[float] = None
    """Predicted: at which its blocks come to the compute device; None of what does not stream."""
    reserve_bytes: int = 0
    """That stay free in the budget of its own name."""


@dataclass(frozen=True)
class Prediction:
    """What a plan will cost: of a load, of a file in the page cache or not, and of each pass."""

    load_seconds: float
    load_cold_seconds: float
    streamed_bytes: int
    transfer_seconds: float
    compute_seconds: float
    stall_seconds: float
    """That computing waits for what streams."""
    compute_estimated: bool
    """``step_seconds`` was not said."""
    assumed: bool
    """Speeds that nobody measured play a part."""
    whole: bool
    """Passes were gone through block by block."""
    start_seconds: float = 0.0
    """Before ``load_seconds``, once in a process: devices are found, and drivers start; 0 where nobody has measured it."""
    learnt_at: int = 0
    """Seconds since 1970: sessions measured then what a pass computes; 0: it was said, or estimated."""


@dataclass(frozen=True)
class Plan:
    """Which block goes where, what it costs, and what there is to say about it."""

    compute_device: str
    window_bytes: int
    """Of the window on the compute device through which blocks on donors stream; 0: nothing streams."""
    shares: tuple[Share, ...]
    warnings: tuple[str, ...]
    document: str = field(repr=False)
    """The plan as a JSON document, as ``distorch2 plan --json`` prints it."""
    prediction: Optional[Prediction] = None

    def table(self) -> str:
        """What each device gets, in lines for people; warnings below."""
        rows = [("device", "blocks", "of the model", "takes")]
        for share in self.shares:
            rows.append((share.device, str(len(share.blocks)), format_size(share.bytes), format_size(share.cost_bytes)))
        if self.window_bytes:
            rows.append((f"{self.compute_device}, window", "", "", format_size(self.window_bytes)))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in (1, 2, 3))]).rstrip() for row in rows
        ]
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])

    def share_of(self, block: int) -> Share:
        """The share that holds the block of that index."""
        for share in self.shares:
            if block in share.blocks:
                return share
        raise UsageError(f"the plan has no block {block}")


def _share(raw: _native.share) -> Share:
    return Share(
        device=raw.device.decode(),
        quota_bytes=known(raw.quota_bytes),
        bytes=raw.bytes,
        cost_bytes=raw.cost_bytes,
        absorbs=raw.absorbs,
        blocks=tuple(raw.blocks[: raw.block_count]) if raw.block_count else (),
        runs=raw.runs,
        load_seconds=speed(raw.load_seconds),
        load_cold_seconds=speed(raw.load_cold_seconds),
        stream_gbps=speed(raw.stream_gbps),
        reserve_bytes=raw.reserve_bytes,
    )


def _prediction(pointer: Any) -> Optional[Prediction]:
    return Prediction(*(getattr(pointer[0], each.name) for each in fields(Prediction))) if pointer else None


def plan_of(pointer: int, file: Optional[int] = None) -> Plan:
    """Copies a ``struct dt2_plan``; ``file`` is the pointer of the file that it is about."""
    return Plan(
        compute_device=lib.dt2_plan_compute_device(pointer).decode(),
        window_bytes=lib.dt2_plan_window_bytes(pointer),
        shares=tuple(_share(lib.dt2_plan_share(pointer, i)[0]) for i in range(lib.dt2_plan_share_count(pointer))),
        warnings=tuple(
            text(lib.dt2_plan_warning(pointer, i)) or "" for i in range(lib.dt2_plan_warning_count(pointer))
        ),
        document=taken_text(lib.dt2_plan_json(pointer, file)),
        prediction=_prediction(lib.dt2_plan_prediction(pointer)),
    )


def plan_made(file: int, function: Callable[..., int], *arguments: Any) -> Plan:
    """Copies the plan that a function makes for a file, by its pointer, and frees it."""
    pointer = made(function, *arguments)
    try:
        return plan_of(pointer, file)
    finally:
        lib.dt2_plan_free(pointer)


class SavedPlan:
    """A plan that was made before, to be loaded: its JSON, and how the file that it is of was opened."""

    def __init__(self, plan: Union[Plan, str, bytes], options: Mapping[str, Any]) -> None:
        others = sorted(set(options) - {"dtype"})
        if others:
            raise UsageError(f"{others[0]} and plan: the plan decides alone; make it anew with that")
        text = plan.document if isinstance(plan, Plan) else plan
        self._raw = text.encode() if isinstance(text, str) else bytes(text)
        try:
            document = json.loads(self._raw)
            stored = str(document["model"]["dtype"]).lower()
            place = document["request"]["place"]
        except (ValueError, TypeError, KeyError):  # what is wrong with it the library says
            stored, place = "keep", None
        self.place: Optional[str] = place if isinstance(place, str) else None
        self.dtype: Dtype = options.get("dtype", stored if stored in ("f16", "bf16", "f32") else "keep")

    @contextmanager
    def parsed(self, file: Any, blocks: Any) -> Iterator[Any]:
        """The plan by pointer, once the file and its blocks are known to be those that it is of."""
        pointer = made(lib.dt2_plan_parse, self._raw, len(self._raw), file, blocks)
        try:
            yield pointer
        finally:
            lib.dt2_plan_free(pointer)


def make_plan(devices: Devices, file: File, request: Optional[Request] = None, **options: Any) -> Plan:
    """A plan for devices that need not be this machine's. Options of a :class:`Request` may be given as keywords.

    ``Context.plan()`` plans for this machine as it is now.
    """
    wanted = requested(request, options)
    native = NativeRequest(wanted)
    with opened(file, wanted.dtype) as source:
        with placed(source, wanted.place) as (pointer, blocks), devices._call() as memories:
            array, count = lib.dt2_blocks_array(blocks), lib.dt2_blocks_count(blocks)
            with native.calling() as native_request:
                return plan_made(pointer, lib.dt2_plan_make, memories, array, count, native_request)
