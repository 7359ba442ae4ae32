# SPDX-License-Identifier: BSD-3-Clause
"""ComfyUI's nodes of distorch2: ControlNets that lie on several devices and compute on one.

Nothing is opened when this is imported: devices are looked for when somebody asks which there are, and drivers are
opened by the first load.
"""

import logging

from . import machine, nodes

NODE_CLASS_MAPPINGS = {
    "DisTorch2ControlNetLoader": nodes.ControlNetLoader,
    "DisTorch2DiffControlNetLoader": nodes.DiffControlNetLoader,
    "DisTorch2Plan": nodes.Plan,
    "DisTorch2Devices": nodes.Devices,
}
NODE_DISPLAY_NAME_MAPPINGS = {name: kind.TITLE for name, kind in NODE_CLASS_MAPPINGS.items()}
WEB_DIRECTORY = "./web"


def _published_names() -> None:
    """The names under which another node pack published these nodes, where nobody has them: workflows go on working."""
    known = nodes.known_nodes()
    for name, kind in (
        ("ControlNetLoaderDisTorch2MultiGPU", nodes.ControlNetLoader),
        ("DiffControlNetLoaderDisTorch2MultiGPU", nodes.DiffControlNetLoader),
    ):
        if name in known:
            logging.info("distorch2: %s is another node pack's; ours has a name of its own", name)
            continue
        NODE_CLASS_MAPPINGS[name] = kind
        NODE_DISPLAY_NAME_MAPPINGS[name] = kind.TITLE
        logging.info("distorch2: also answers as %s, which no other node pack has taken so far", name)


_published_names()
_why = machine.not_there()
if _why is not None:
    logging.warning("distorch2: %s", _why)

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"]
