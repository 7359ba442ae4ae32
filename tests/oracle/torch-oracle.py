#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""State dicts written by torch itself, read by our reader: names, dtypes, shapes and bytes must be those of torch.

usage: torch-oracle.py [--files N] [--seed N]

State dicts have random shapes, strides, offsets, dtypes, and tensors that share a storage; files are zip archives or
of the legacy layout, and of every protocol.
"""
import argparse
import collections
import os
import random
import sys
import tempfile

import torch

import dt2

DTYPES = {
    torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32", torch.float64: "F64", torch.uint8: "U8",
    torch.int8: "I8", torch.int16: "I16", torch.int32: "I32", torch.int64: "I64", torch.bool: "BOOL",
    torch.complex64: "C64", torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
    torch.float8_e4m3fnuz: "F8_E4M3FNUZ", torch.float8_e5m2fnuz: "F8_E5M2FNUZ", torch.uint16: "U16",
    torch.uint32: "U32", torch.uint64: "U64",
}
if hasattr(torch, "float8_e8m0fnu"):
    DTYPES[torch.float8_e8m0fnu] = "F8_E8M0"


def raw(rng, count):
    return torch.frombuffer(bytearray(rng.randbytes(count)) or bytearray(1), dtype=torch.uint8)[:count].clone()


def storage(rng):
    """A flat tensor with random bits of a random dtype."""
    dtype = rng.choice(list(DTYPES))
    size = torch.empty(0, dtype=dtype).element_size()
    count = rng.choice([0, 1, 2, 7, 24, 60, 720, 5040]) if rng.random() < 0.97 else 400000
    flat = raw(rng, count * size)
    return flat.ne(0) & flat.lt(128) if dtype == torch.bool else flat.view(dtype)


def view(rng, base):
    """A random view of a flat tensor: any shape, strides, offset, repetition."""
    if base.numel() == 0:
        return base.view(rng.choice([(0,), (0, 3), (2, 0, 5)]))
    kind = rng.randrange(6)
    if kind == 0:
        return base
    if kind == 1:
        return base[rng.randrange(base.numel()):][:rng.randrange(base.numel() + 1)]
    if kind == 2:
        return base[rng.randrange(base.numel())]
    shape = []
    left = base.numel()
    while left > 1 and len(shape) < 6:
        factor = rng.choice([d for d in range(2, left + 1) if left % d == 0][:6])
        shape.append(factor)
        left //= factor
    shape.append(left)
    rng.shuffle(shape)
    tensor = base.view(shape)
    if kind >= 4:
        tensor = tensor.permute(rng.sample(range(len(shape)), len(shape)))
    if kind == 5:
        tensor = tensor[tuple(slice(rng.randrange(n), None, rng.randint(1, 3)) for n in tensor.shape)]
        if rng.random() < 0.3 and tensor.numel() < 1000:
            tensor = tensor.unsqueeze(0).expand(rng.randint(1, 4), *tensor.shape)
        if rng.random() < 0.2:
            size = [rng.randint(1, 4) for _ in range(3)]
            stride = [rng.randint(0, 2) for _ in range(3)]
            if sum((n - 1) * s for n, s in zip(size, stride)) < base.numel():
                tensor = base.as_strided(size, stride)
    return tensor


def state_dict(rng):
    tensors = collections.OrderedDict() if rng.random() < 0.7 else {}
    bases = [storage(rng) for _ in range(rng.randint(1, 5))]
    for i in range(rng.randint(1, 12)):
        name = rng.choice(["control_model.input_blocks.%d.weight", "%d", "é%d\"\\", "a b/%d"]) % i
        tensor = view(rng, rng.choice(bases))
        if tensor.dtype.is_floating_point and tensor.element_size() > 1 and rng.random() < 0.3:
            tensor = torch.nn.Parameter(tensor, requires_grad=rng.random() < 0.5)
        tensors[name] = tensor
    return tensors


def wrapped(rng, tensors):
    """What people save around a state dict, and beside the tensors in it."""
    whole = tensors
    if rng.random() < 0.3:
        whole = type(tensors)(tensors)
        whole.update({"step": 3, "lr": 1e-4, "names": ["a", (1, 2)], "none": None, "big": 1 << 70, "flag": True})
    if rng.random() < 0.3:
        whole = {"state_dict": whole, "epoch": 7, "config": {"width": 320}}
    if rng.random() < 0.2:
        whole = {rng.choice(["model", "params", "x"]): whole}
    return whole


def bytes_of(tensor):
    flat = torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor.detach()).reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def table(tensors):
    return {name: (DTYPES[t.dtype], list(t.shape), bytes_of(t)) for name, t in tensors.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    args = parser.parse_args()
    print("torch %s, seed %d" % (torch.__version__, args.seed))
    wrong, tensors, zipped = dt2.Differences("torch"), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.pth")
        for index in range(args.files):
            rng = random.Random("%d/%d" % (args.seed, index))
            state, as_zip = state_dict(rng), rng.random() < 0.5
            torch.save(wrapped(rng, state), path, pickle_protocol=rng.choice([2, 2, 3, 4, 5]),
                       _use_new_zipfile_serialization=as_zip)
            what = "file %d" % index
            try:
                with dt2.File(path) as file:
                    wrong.compare(what, file.tensors(), table(state))
                    if file.format() != ("pytorch-zip" if as_zip else "pytorch-legacy"):
                        wrong.add("%s: is taken for %s" % (what, file.format()))
            except dt2.Refused as refusal:
                wrong.add("%s: refused: %s" % (what, refusal))
            tensors += len(state)
            zipped += as_zip
    return wrong.finish("%d files, %d of them zip archives, %d tensors" % (args.files, zipped, tensors))


if __name__ == "__main__":
    sys.exit(main())
