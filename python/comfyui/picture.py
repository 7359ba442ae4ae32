# SPDX-License-Identifier: BSD-3-Clause
"""A plan as a picture: the model's blocks from left to right in the order in which they run, each as wide as it is
large, in the colour of the device that holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

WIDTH = 768
_MARGIN = 16
_BAR = 72
_LINE = 26
_TEXT = 17
_COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#76b7b2", "#edc948", "#e15759", "#9c755f")
_PAPER, _INK, _EDGE = "#1e1e1e", "#f0f0f0", "#1e1e1e"


def drawn(plan: Any, sizes: Sequence[int], title: str) -> Any:
    """An image of Pillow's. ``sizes`` are those of the blocks, in bytes."""
    from distorch2 import format_size
    from PIL import Image, ImageDraw

    height = 3 * _MARGIN + _BAR + _LINE * (len(plan.shares) + 2)
    image = Image.new("RGB", (WIDTH, height), _PAPER)
    draw = ImageDraw.Draw(image)
    font = _font()
    draw.text((_MARGIN, _MARGIN), f"{title}, {format_size(sum(sizes))}", fill=_INK, font=font)
    _bar(draw, _colours(plan, len(sizes)), sizes, _MARGIN + _LINE)
    y = 2 * _MARGIN + _LINE + _BAR
    for i, share in enumerate(plan.shares):
        draw.rectangle((_MARGIN, y + 2, _MARGIN + _TEXT, y + 2 + _TEXT), fill=_COLOURS[i % len(_COLOURS)])
        draw.text((_MARGIN + 2 * _TEXT, y), f"{share.device}: {format_size(share.bytes)}", fill=_INK, font=font)
        y += _LINE
    window = f", through a window of {format_size(plan.window_bytes)}" if plan.window_bytes else ""
    draw.text((_MARGIN, y), f"computes on {plan.compute_device}{window}", fill=_INK, font=font)
    return image


def _font() -> Any:
    """Pillow's own, in a size that can be read where a node shows half of it."""
    from PIL import ImageFont

    try:
        return ImageFont.load_default(_TEXT)
    except TypeError:  # of before 10.1
        return ImageFont.load_default()


def _colours(plan: Any, count: int) -> list[str]:
    """Of each block, by who holds it."""
    found = [_INK] * count
    for i, share in enumerate(plan.shares):
        for block in share.blocks:
            found[block] = _COLOURS[i % len(_COLOURS)]
    return found


def _bar(draw: Any, colours: Sequence[str], sizes: Sequence[int], top: int) -> None:
    total, at = max(sum(sizes), 1), 0
    for colour, size in zip(colours, sizes):
        left = _MARGIN + at * (WIDTH - 2 * _MARGIN) / total
        at += size
        right = _MARGIN + at * (WIDTH - 2 * _MARGIN) / total
        edge = _EDGE if right - left >= 4 else None  # what is narrower would be edge alone
        draw.rectangle((left, top, right, top + _BAR), fill=colour, outline=edge)


def tensor_of(image: Any) -> Any:
    """A picture as ComfyUI has them: a batch of one, height, width, and three numbers from 0 to 1."""
    import torch

    flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return flat.view(1, image.height, image.width, 3).float() / 255
