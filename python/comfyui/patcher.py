# SPDX-License-Identifier: BSD-3-Clause
"""What ComfyUI's memory management knows of a spread network: what it costs on the device that computes, and how it
makes room there."""

from __future__ import annotations

import copy
from typing import Any

import comfy.model_patcher

from . import machine
from .inputs import one_sentence
from .network import Network


class Patcher(comfy.model_patcher.ModelPatcher):
    """Tells the truth about sizes; loading is waking, unloading is sleep, and in part it is to stream more."""

    def __init__(self, model: Any, load_device: Any, offload_device: Any, size: int = 0, *_: Any, **__: Any) -> None:
        super().__init__(model, load_device=load_device, offload_device=offload_device, size=size or 1)

    @property
    def network(self) -> Network:
        return self.model._distorch2_network  # type: ignore[no-any-return]

    def clone(self, *_: Any, **__: Any) -> Patcher:
        made = type(self)(self.model, self.load_device, self.offload_device)
        made.parent = self
        options = dict(self.model_options["transformer_options"])
        made.model_options = {**self.model_options, "transformer_options": options}
        made.patches_uuid = self.patches_uuid
        return made

    def deepclone_multigpu(self, *_: Any, **__: Any) -> Any:
        copy.deepcopy(self.model)  # which says why not

    # -- sizes --

    def model_size(self) -> int:
        return self.network.cost

    def loaded_size(self) -> int:
        return self.network.held

    def current_loaded_device(self) -> Any:
        return self.load_device if self.network.awake else self.offload_device

    def loaded_ram_size(self) -> int:
        return self.network.host_bytes

    def pinned_memory_size(self) -> int:
        return 0

    def lowvram_patch_counter(self) -> int:
        return 0

    def memory_required(self, input_shape: Any) -> int:
        return 0

    # -- coming and going --

    def partially_load(self, device_to: Any, extra_memory: Any = 1e32, **_: Any) -> int:
        """Before each sampling. What is above ``extra_memory`` streams, as far as it can."""
        before = self.network.held
        try:
            self.network.wake(float(extra_memory))
        except machine.need().DistorchError as problem:
            raise RuntimeError(one_sentence(problem)) from problem
        return self.network.held - before

    def load(self, device_to: Any = None, **_: Any) -> None:
        self.network.wake()

    def patch_model(self, device_to: Any = None, load_weights: bool = True, **_: Any) -> Any:
        if load_weights:
            self.network.wake()
        return self.model

    def unpatch_model(self, device_to: Any = None, unpatch_weights: bool = True) -> None:
        if unpatch_weights:
            self.network.sleep()

    def partially_unload(self, device_to: Any, memory_to_free: Any = 0, **_: Any) -> int:
        return self.network.give(memory_to_free)

    def partially_unload_ram(self, *_: Any, **__: Any) -> int:
        return 0

    def detach(self, unpatch_all: bool = True) -> Any:
        """Also said of what stays loaded, at each sampling, with ``unpatch_all`` False."""
        if unpatch_all:
            self.network.sleep()
        return self.model

    def __del__(self) -> None:
        """The network sleeps when nobody has its module any more."""
