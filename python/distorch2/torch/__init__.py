# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch modules that run on a loaded model: each layer's weights are there while it computes, and no longer.

    with torch.device("meta"):
        network = ControlNetModel.from_config(config)
    with context.load(path, compute_device="cpu", expert_mode_allocations="cpu,30%;opencl:0,*") as model:
        with distorch2.torch.attach(network, model), torch.no_grad():
            network(...)

Every module that owns parameters or buffers acquires them before its forward, and its hooks, and releases them after.
Between times a parameter is a stand-in that has shape, dtype and device, and raises an error with its name when
anything computes with it. Where the module's weights are not tensors of the file as they are, :func:`trace` runs the
program's own loader, and finds out what they are.
"""

from .attachment import Attachment, attach
from .devices import device_name, torch_device
from .dtypes import DTYPES
from .ledger import Ledger, trace
from .record import Piece, Record

__all__ = ["DTYPES", "Attachment", "Ledger", "Piece", "Record", "attach", "device_name", "torch_device", "trace"]
