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
from .patches import set_patches


class Patcher(comfy.model_patcher.ModelPatcher):
    """Tells the truth about sizes; loading is waking, unloading is sleep, and in part it is to stream more."""

    def __init__(self, model: Any, load_device: Any, offload_device: Any, size: int = 0, *_: Any, **__: Any) -> None:
        super().__init__(model, load_device=load_device, offload_device=offload_device, size=size or 1)

    @property
    def network(self) -> Network:
        return self.model._distorch2_network  # type: ignore[no-any-return]

    def clone(self, *args: Any, force_deepcopy: bool = False, **options: Any) -> Any:
        if force_deepcopy:
            return self.deepclone_multigpu()
        return super().clone(*args, **options)

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
            self._patch()
        except machine.need().DistorchError as problem:
            raise RuntimeError(one_sentence(problem)) from problem
        return self.network.held - before

    def load(self, device_to: Any = None, *_: Any, **__: Any) -> None:
        self.network.wake()
        self._patch()

    def patch_model(self, device_to: Any = None, *_: Any, load_weights: bool = True, **__: Any) -> Any:
        if load_weights:
            self.load()
        return self.model

    def _patch(self) -> None:
        """The network has this patcher's patches from now on: clones of it may have others."""
        super().unpatch_model(unpatch_weights=False)
        super().patch_model(load_weights=False)
        if self.model.current_weight_patches_uuid != self.patches_uuid:
            set_patches(self.model, self.patches)
            self.model.current_weight_patches_uuid = self.patches_uuid

    def unpatch_model(self, device_to: Any = None, unpatch_weights: bool = True) -> None:
        super().unpatch_model(unpatch_weights=False)
        if unpatch_weights:
            self.network.sleep()

    def partially_unload(self, device_to: Any, memory_to_free: Any = 0, **_: Any) -> int:
        return self.network.give(memory_to_free)

    def partially_unload_ram(self, *_: Any, **__: Any) -> int:
        return 0

    def detach(self, unpatch_all: bool = True) -> Any:
        """Also said of what stays loaded, at each sampling, with ``unpatch_all`` False."""
        if unpatch_all:
            self.unpatch_model()
        return self.model

    def __del__(self) -> None:
        """The network sleeps when nobody has its module any more."""
