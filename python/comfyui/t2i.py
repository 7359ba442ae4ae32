# SPDX-License-Identifier: BSD-3-Clause
"""T2I adapters: ComfyUI moves them to and fro around each use, and has no patcher for them. A spread one stays, and
has one."""

from __future__ import annotations

from typing import Any

import comfy.controlnet

from .patcher import Patcher


class SpreadAdapter(comfy.controlnet.T2IAdapter):
    """ComfyUI's control, with the patcher that its memory management asks."""

    patcher: Patcher

    def get_models(self) -> list[Any]:
        return [*super().get_models(), self.patcher]

    def copy(self) -> SpreadAdapter:
        made = SpreadAdapter(
            self.t2i_model, self.channels_in, self.compression_ratio, self.upscale_algorithm, device=self.device
        )
        self.copy_to(made)
        made.patcher = self.patcher
        return made


def spread_adapter(control: Any, patcher: Patcher) -> SpreadAdapter:
    """The control that a loader made, as one that is spread."""
    made = SpreadAdapter(
        control.t2i_model, control.channels_in, control.compression_ratio, control.upscale_algorithm, control.device
    )
    control.copy_to(made)
    made.patcher = patcher
    return made
