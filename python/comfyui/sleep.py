# SPDX-License-Identifier: BSD-3-Clause
"""What is in the place of a module's call, its moves and its weights while its network sleeps. Whoever calls it, or reads
a weight, wakes it; whoever asks what it is like gets the answers that it gives when it is awake."""

from __future__ import annotations

import weakref
from functools import partial
from typing import Any


class Sleep:
    """All of that for one network."""

    def __init__(self, network: Any, record: Any) -> None:
        self._network = weakref.ref(network)
        self._places = list(self._stand_ins(network.module, record, network.device))
        """Mappings of modules, a name in each, and what is there as the loader made it, and in sleep."""

    def begin(self) -> None:
        network = self._network()
        module = None if network is None else network.module
        if module is not None:
            module.__dict__["_call_impl"] = _Waker(network)
            module.__dict__["_apply"] = _Still(weakref.ref(module))
            for entries, key, _, absent in self._places:
                entries[key] = absent

    def end(self) -> None:
        """Everything is as the loader made it."""
        network = self._network()
        for name in ("_call_impl", "_apply"):
            network.module.__dict__.pop(name, None)
        for entries, key, before, _ in self._places:
            entries[key] = before

    def _stand_ins(self, module: Any, record: Any, device: Any) -> Any:
        tied: dict[int, Any] = {}
        for path, each in module.named_modules():
            for entries in (each._parameters, each._buffers):
                for key, before in entries.items():
                    if before is not None and before.is_meta:
                        name = f"{path}.{key}" if path else key
                        if id(before) not in tied:
                            tied[id(before)] = self._stand_in(name, before, record.dtypes[name], device)
                        yield entries, key, before, tied[id(before)]

    def _stand_in(self, name: str, before: Any, dtype: Any, device: Any) -> Any:
        import torch
        from distorch2.torch.standin import Absent

        absent = Absent(before, name, "sleeps", dtype, device, partial(_read, self._network))
        is_parameter = isinstance(before, torch.nn.Parameter)
        return torch.nn.Parameter(absent, before.requires_grad) if is_parameter else absent


def _read(reference: Any, absent: Any, func: Any) -> Any:
    """The weight of a stand-in, of a network that does not sleep any more."""
    network = reference()
    network.wake()
    path, _, key = absent._distorch2_name.rpartition(".")
    found = getattr(network.module.get_submodule(path), key)
    fetch = getattr(found, "_distorch2_fetch", None)
    return found if fetch is None else fetch(found, func)


class _Waker:
    """In the place of a sleeping module's call."""

    def __init__(self, network: Any) -> None:
        self._network = weakref.ref(network)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        network = self._network()
        assert network is not None
        network.wake()
        return network.module(*args, **kwargs)


class _Still:
    """In the place of what moves a sleeping module, which has nothing that could be moved."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self._module()
