# SPDX-License-Identifier: BSD-3-Clause
"""Devices: every memory of the machine that can hold tensors, as a snapshot that does not change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ctypes import byref, c_size_t
from dataclasses import dataclass
from typing import Any, Optional, Union, overload

from . import _native
from ._core import call, encode, known, made, speed, taken_text, text, texts
from ._handle import Handle, frees
from ._native import lib


@dataclass(frozen=True)
class Link:
    """A way to another memory; speeds are in 10**9 bytes a second. What is unknown is None.

    ``peer`` says of another device of the same driver whether what is copied directly arrives: "ok", "broken", "none".
    """

    to: str
    nominal_gbps: Optional[float]
    measured_gbps: Optional[float]
    peer: Optional[str] = None
    pcie_generation: Optional[int] = None
    """Of the slowest PCI link on the way, as its ends can be; ``pcie_lanes`` is its width."""
    pcie_lanes: Optional[int] = None
    read_gbps: Optional[float] = None
    delay_us: Optional[float] = None
    """That a copy takes whatever its size."""
    shared: Optional[str] = None
    """The bridge nearest the host through which it goes: links with one share its rate."""
    fresh_gbps: Optional[float] = None
    """As ``measured_gbps``, of copies to memory that was just taken."""


@dataclass(frozen=True)
class Device:
    """One memory. What nobody can tell is None; so is ``max_alloc_bytes`` where there is no limit."""

    name: str
    aliases: tuple[str, ...]
    driver: str
    kind: str
    vendor: Optional[str]
    model: Optional[str]
    pci: Optional[str]
    uuid: Optional[str]
    numa_node: Optional[int]
    total_bytes: Optional[int]
    free_bytes: Optional[int]
    alignment_bytes: int
    max_alloc_bytes: Optional[int]
    fixed_bytes: Optional[int]
    budgets: tuple[str, ...]
    links: tuple[Link, ...]
    runtime: Optional[str] = None
    """What of the vendor's the driver works with, such as "libcudart 12.4 (PATH)"."""
    open_ms: Optional[float] = None
    start_ms: Optional[float] = None
    """What starting its driver took, once in a process and for all of its devices."""
    package: Optional[int] = None
    """The processors that ``numa_node`` belongs to."""


@dataclass(frozen=True)
class Budget:
    """A limit that one or several devices share."""

    name: str
    total_bytes: Optional[int]
    free_bytes: Optional[int]


@dataclass(frozen=True)
class DeviceSpeeds:
    """Copies between host memory and a device, in 10^9 bytes a second; None: cannot be had here. ``pinned``: host memory
    that the device's driver gave."""

    write_gbps: Optional[float]
    write_pinned_gbps: Optional[float]
    read_gbps: Optional[float]
    read_pinned_gbps: Optional[float]


@dataclass(frozen=True)
class Speeds:
    """How fast the machine's own memory and disk were, in 10^9 bytes a second; ``measured_at`` in seconds since 1970."""

    memory_gbps: Optional[float]
    fresh_gbps: Optional[float]
    touched_gbps: Optional[float]
    cold_gbps: Optional[float]
    measured_at: Optional[int]
    start_ms: Optional[float] = None
    """That making the first list took in a process, without starting drivers."""


@dataclass(frozen=True)
class Unusable:
    """A GPU that no driver claims, or a driver that finds nothing: what is wrong, and what would help."""

    pci: Optional[str]
    model: Optional[str]
    reason: Optional[str]
    help: Optional[str]


def _link(raw: _native.link) -> Link:
    return Link(
        to=raw.to.decode(),
        nominal_gbps=speed(raw.nominal_gbps),
        measured_gbps=speed(raw.measured_gbps),
        peer=text(raw.peer),
        pcie_generation=raw.pcie_generation or None,
        pcie_lanes=raw.pcie_lanes or None,
        read_gbps=speed(raw.read_gbps),
        delay_us=speed(raw.delay_us),
        shared=text(raw.shared),
        fresh_gbps=speed(raw.fresh_gbps),
    )


def _device(raw: _native.device) -> Device:
    links = (raw.links[i][0] for i in range(raw.link_count))
    return Device(
        name=raw.name.decode(),
        aliases=texts(raw.aliases, raw.alias_count),
        driver=raw.driver.decode(),
        kind=raw.kind.decode(),
        vendor=text(raw.vendor),
        model=text(raw.model),
        pci=text(raw.pci),
        uuid=text(raw.uuid),
        numa_node=None if raw.numa_node < 0 else raw.numa_node,
        total_bytes=known(raw.total_bytes),
        free_bytes=known(raw.free_bytes),
        alignment_bytes=raw.alignment_bytes,
        max_alloc_bytes=known(raw.max_alloc_bytes),
        fixed_bytes=known(raw.fixed_bytes),
        budgets=texts(raw.budgets, raw.budget_count),
        links=tuple(_link(each) for each in links),
        runtime=text(raw.runtime),
        open_ms=speed(raw.open_ms),
        start_ms=speed(raw.start_ms),
        package=None if raw.package < 0 else raw.package,
    )


class Devices(Handle, Sequence):  # type: ignore[type-arg]
    """A snapshot of devices: a sequence of :class:`Device`, which names, aliases and addresses also find.

    ``Context.devices()`` makes one of this machine; :meth:`parse` of JSON, which may be another machine's.
    """

    _what = "list of devices"

    def __init__(self, pointer: int) -> None:
        super().__init__(pointer, frees(lib.dt2_devices_free))
        self._list = tuple(_device(lib.dt2_devices_get(pointer, i)[0]) for i in range(lib.dt2_devices_count(pointer)))

    @classmethod
    def parse(cls, document: Union[str, bytes]) -> Devices:
        """Reads what :meth:`json` or ``distorch2 devices --json`` wrote."""
        raw = document.encode() if isinstance(document, str) else bytes(document)
        return cls(made(lib.dt2_devices_parse, raw, len(raw)))

    @property
    def speeds(self) -> Optional[Speeds]:
        """What was measured of the machine, now or before."""
        with self._call() as devices:
            found = lib.dt2_devices_speeds(devices)
            if not found:
                return None
            raw = found[0]
            rates = (speed(rate) for rate in (raw.memory_gbps, raw.fresh_gbps, raw.touched_gbps, raw.cold_gbps))
            return Speeds(*rates, None if raw.measured_at < 0 else raw.measured_at, speed(raw.start_ms))

    def json(self) -> str:
        """The snapshot as a JSON document."""
        with self._call() as devices:
            return taken_text(lib.dt2_devices_json(devices))

    def index_of(self, name: str) -> int:
        """The index of the device that ``name`` means: a name, an alias, ``pci:...``, ``uuid:...``, ``numa:N``."""
        index = c_size_t()
        with self._call() as devices:
            call(lib.dt2_devices_find, devices, encode(name), byref(index))
        return index.value

    @property
    def default(self) -> Device:
        """Where a model computes unless it is asked otherwise."""
        with self._call() as devices:
            return self._list[int(lib.dt2_devices_default(devices))]

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The budgets that devices name."""
        with self._call() as devices:
            raw = (lib.dt2_devices_budget(devices, i)[0] for i in range(lib.dt2_devices_budget_count(devices)))
            return tuple(Budget(each.name.decode(), known(each.total_bytes), known(each.free_bytes)) for each in raw)

    @property
    def unusable(self) -> tuple[Unusable, ...]:
        """What cannot be used; none unless it was asked for."""
        with self._call() as devices:
            raw = (lib.dt2_devices_unusable(devices, i)[0] for i in range(lib.dt2_devices_unusable_count(devices)))
            return tuple(Unusable(text(each.pci), text(each.model), text(each.reason), text(each.help)) for each in raw)

    @property
    def numa_distances(self) -> Optional[tuple[tuple[int, ...], ...]]:
        """Distances between the host's NUMA nodes in the order of ``cpu:N`` devices; None when unknown."""
        order = c_size_t()
        with self._call() as devices:
            matrix = lib.dt2_devices_distances(devices, byref(order))
            n = order.value
            return tuple(tuple(matrix[row * n : row * n + n]) for row in range(n)) if matrix and n else None

    @overload
    def __getitem__(self, key: Union[int, str]) -> Device: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Device, ...]: ...
    def __getitem__(self, key: Any) -> Any:
        return self._list[self.index_of(key)] if isinstance(key, str) else self._list[key]

    def __len__(self) -> int:
        return len(self._list)

    def __iter__(self) -> Iterator[Device]:
        return iter(self._list)

    def __repr__(self) -> str:
        return f"<Devices {', '.join(device.name for device in self._list)}>"
