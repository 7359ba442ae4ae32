#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tensors stored in another dtype than the file has are, bit for bit, what torch's Tensor.to() and gguf's dequantize() make.

usage: cast-oracle.py [--numbers N] [--seed N]

All 2^16 halves and bfloats; floats and doubles: every exponent with mantissas at and beside each point where rounding turns,
and N random ones of each; of every quantised type that can be converted, random blocks.
"""
import argparse
import os
import sys
import tempfile

import numpy
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter, dequantize
from safetensors.torch import save_file

import dt2

DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32}
QUANTISED = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
if os.environ.get("ATEN_CPU_CAPABILITY") or not torch.backends.cpu.get_cpu_capability().startswith("AVX"):
    print("NaNs are compared as NaNs: this torch has no vectors to take their bits from")
    LOOSE_NAN = {"F16", "BF16", "F32"}
else:
    LOOSE_NAN = set()


def turning(mantissa_bits, exponent_bits, kept):
    """Bits of numbers: each exponent, and mantissas around the middle between two that a shorter type has."""
    beside = [0, 1, 2, 3]
    for bits in kept:
        drop = mantissa_bits - bits
        middle = 1 << (drop - 1)
        beside += [middle - 1, middle, middle + 1, (1 << drop) - 1, 1 << drop, (1 << drop) + middle]
    beside += [(1 << mantissa_bits) - 1 - value for value in beside]
    sign = exponent_bits + mantissa_bits
    return [s << sign | e << mantissa_bits | m for s in (0, 1) for e in range(1 << exponent_bits) for m in set(beside)]


def numbers(rng, count):
    """Tensors of all kinds, by name."""
    every = numpy.arange(65536, dtype=numpy.uint16)
    floats = numpy.array(turning(23, 8, [10, 7]), dtype=numpy.uint64).astype(numpy.uint32)
    doubles = numpy.array(turning(52, 11, [23, 10, 7]), dtype=numpy.uint64)
    near = numpy.concatenate([rng.normal(0, scale, count // 4) for scale in (1e-8, 1e-3, 1, 1e4)]).astype(numpy.float32)
    found = {
        "halves": torch.from_numpy(every.view(numpy.float16)),
        "bfloats": torch.from_numpy(every.view(numpy.int16)).view(torch.bfloat16),
        "floats": torch.from_numpy(floats.view(numpy.float32)),
        "doubles": torch.from_numpy(doubles.view(numpy.float64)),
        "near": torch.from_numpy(near),
        "bits": torch.from_numpy(rng.integers(0, 1 << 32, count, dtype=numpy.uint32).view(numpy.float32)),
        "wide": torch.from_numpy(rng.integers(0, 1 << 64, count, dtype=numpy.uint64).view(numpy.float64)),
        "whole": torch.arange(1000), "eight": torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn),
    }
    return {name: tensor.clone() for name, tensor in found.items()}


def bits_of(tensor):
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


def same(found, wanted, dtype, loose):
    """Whether the bytes are those of the tensor; where `loose`, any NaN is as good as another."""
    if found == bits_of(wanted):
        return True
    if not loose:
        return False
    mine = torch.frombuffer(bytearray(found), dtype=dtype)
    nan = torch.isnan(mine)
    return torch.equal(nan, torch.isnan(wanted.flatten())) and torch.equal(mine[~nan], wanted.flatten()[~nan])


def compare_torch(rng, count, folder, differences):
    tensors, compared = numbers(rng, count), 0
    path = os.path.join(folder, "numbers.safetensors")
    save_file(tensors, path)
    for name, dtype in DTYPES.items():
        with dt2.File(path) as file, file.stored(name) as stored:
            for tensor, (found, _, data) in stored.tensors().items():
                wide = tensors[tensor].is_floating_point() and tensors[tensor].element_size() > 1
                wanted = tensors[tensor].to(dtype) if wide else tensors[tensor]
                compared += wanted.numel()
                # The NaN that torch makes of a double depends on where it stands: in a whole vector, or after the last.
                loose = name in LOOSE_NAN or (name == "BF16" and tensors[tensor].dtype == torch.float64)
                if found != (name if wide else found) or not same(data, wanted, wanted.dtype, loose):
                    differences.add("%s to %s: %s" % (tensor, name, found))
    return compared


def compare_gguf(rng, folder, differences):
    path, compared = os.path.join(folder, "quantised.gguf"), 0
    writer = GGUFWriter(path, "test")
    raw = {}
    for name in QUANTISED:
        kind = GGMLQuantizationType[name]
        _, size = GGML_QUANT_SIZES[kind]
        raw[name] = rng.integers(0, 256, (60, 8 * size), dtype=numpy.uint8)
        writer.add_tensor(name, raw[name], raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    numpy.seterr(all="ignore")
    for target, dtype in DTYPES.items():
        with dt2.File(path) as file, file.stored(target) as stored:
            for name, (found, _, data) in stored.tensors().items():
                plain = torch.from_numpy(dequantize(raw[name], GGMLQuantizationType[name]))
                wanted = plain.to(dtype)
                mine = torch.frombuffer(bytearray(data), dtype=dtype).reshape(wanted.shape)
                nan = torch.isnan(wanted)
                compared += wanted.numel()
                equal = found == target and torch.equal(torch.isnan(mine), nan)
                if not equal or bits_of(mine[~nan]) != bits_of(wanted[~nan]):
                    differences.add("%s to %s" % (name, target))
    return compared


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--numbers", type=int, default=2000000)
    parser.add_argument("--seed", type=int, default=20261129)
    options = parser.parse_args()
    rng, differences = numpy.random.default_rng(options.seed), dt2.Differences("casts")
    with tempfile.TemporaryDirectory() as folder:
        plain = compare_torch(rng, options.numbers, folder, differences)
        quantised = compare_gguf(rng, folder, differences)
    return differences.finish("%d numbers beside torch %s and %d beside gguf" % (plain, torch.__version__, quantised))


if __name__ == "__main__":
    sys.exit(main())
