#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes torch-*.pth of this folder by torch itself, and beside each a .safetensors of what must be read out of it.

Needs torch; the files at hand were written by torch 2.15. They differ from run to run by a serial number of torch.
"""
import collections
import os
import sys

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))
from torchfile import safetensors

DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64, "U8": torch.uint8,
          "I8": torch.int8, "I16": torch.int16, "I32": torch.int32, "I64": torch.int64, "BOOL": torch.bool,
          "C64": torch.complex64, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
          "F8_E4M3FNUZ": torch.float8_e4m3fnuz, "F8_E5M2FNUZ": torch.float8_e5m2fnuz, "U16": torch.uint16,
          "U32": torch.uint32, "U64": torch.uint64, "F8_E8M0": torch.float8_e8m0fnu}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def bytes_of(tensor):
    flat = torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor.detach()).reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def state_dict():
    tensors = collections.OrderedDict()
    for i, (name, dtype) in enumerate(DTYPES.items()):
        tensors["dtype." + name] = torch.arange(1, 7).mul(i + 1).reshape(2, 3).to(torch.float32).to(dtype)
    base = torch.arange(60, dtype=torch.float16)
    tensors["view.all"] = base
    tensors["view.same"] = base.view(3, 4, 5)
    tensors["view.part"] = base[7:31]
    tensors["view.permuted"] = base.view(3, 4, 5).permute(2, 0, 1)
    tensors["view.steps"] = base.view(3, 4, 5)[::2, 1::2, ::3]
    tensors["view.expanded"] = base[:3].unsqueeze(1).expand(3, 4)
    tensors["view.overlapping"] = base.as_strided((4, 3), (1, 1), 2)
    tensors["conv.channels_last"] = torch.arange(48.).view(2, 3, 2, 4).contiguous(memory_format=torch.channels_last)
    tensors["scalar"] = torch.tensor(3.5)
    tensors["empty"] = torch.empty(0, 3)
    tensors["parameter"] = torch.nn.Parameter(torch.arange(4.))
    tensors["é \"name\""] = torch.arange(3)
    return tensors


def save(label, value, tensors, **how):
    torch.save(value, os.path.join(HERE, "torch-%s.pth" % label), **how)
    expected = safetensors({name: (NAMES[t.dtype], t.shape, bytes_of(t)) for name, t in tensors.items()})
    with open(os.path.join(HERE, "torch-%s.safetensors" % label), "wb") as out:
        out.write(expected)


def main():
    tensors = state_dict()
    save("zip", tensors, tensors)
    for protocol in (3, 4, 5):
        save("zip-protocol%d" % protocol, dict(tensors), tensors, pickle_protocol=protocol)
    save("legacy", tensors, tensors, _use_new_zipfile_serialization=False)
    save("legacy-protocol4", tensors, tensors, _use_new_zipfile_serialization=False, pickle_protocol=4)
    small = {"w": torch.arange(4.), "b": torch.ones(2, dtype=torch.bfloat16)}
    beside = dict(small, step=12, lr=1e-4, names=["a", ("b", 2)], nothing=None, flag=True, huge=1 << 70, kind="canny")
    save("beside", beside, small)
    save("wrapped", {"state_dict": beside, "epoch": 7, "config": {"width": 320}}, small)
    save("wrapped-once", {"anything": small}, small)
    save("checkpoint", {"model": small, "optimizer": {"lr": 0.1, "groups": [{"params": [0, 1]}]}, "epoch": 7}, small)
    module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1), torch.nn.BatchNorm2d(3))
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter.copy_(torch.arange(float(parameter.numel())).view(parameter.shape) + i)
    save("module", module.state_dict(), module.state_dict())


if __name__ == "__main__":
    main()
