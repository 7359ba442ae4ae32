#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the GGUF files of this folder with the package `gguf`, and what its reader says of them:

    pip install gguf==0.19.0 && ./make.py

FILE.tsv has a line for each tensor: name, dtype, shape (outermost first), offset, bytes, CRC-32 of the bytes.
"""
import os
import zlib

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter

FOLDER = os.path.dirname(os.path.abspath(__file__))
random = np.random.default_rng(4711)


def some_bytes(shape):
    return random.integers(0, 256, size=shape, dtype=np.uint8)


def describe(path):
    with open(path[: -len("gguf")] + "tsv", "w", encoding="utf-8") as out:
        for tensor in GGUFReader(path).tensors:
            shape = ",".join(str(n) for n in reversed(tensor.shape.tolist()))
            crc = zlib.crc32(tensor.data.tobytes())
            out.write(f"{tensor.name}\t{tensor.tensor_type.name}\t{shape}\t{tensor.data_offset}\t{tensor.n_bytes}\t"
                      f"{crc:08x}\n")


def write(name, fill, **options):
    path = os.path.join(FOLDER, name)
    writer = GGUFWriter(path, "distorch2-test", **options)
    fill(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    describe(path)


def every_type(writer):
    """A tensor of three rows of every type that there is."""
    for kind, (elements, size) in GGML_QUANT_SIZES.items():
        row = some_bytes((3, 2 * size))
        writer.add_tensor(f"types.{kind.name}.weight", row, raw_dtype=kind)


def metadata(writer):
    """Values of every type, one tensor at an alignment of 128."""
    writer.add_custom_alignment(128)
    writer.add_description("größer, \"quoted\"\nand a second line")
    writer.add_uint8("a.u8", 255)
    writer.add_int8("a.i8", -128)
    writer.add_uint16("a.u16", 65535)
    writer.add_int16("a.i16", -32768)
    writer.add_uint32("a.u32", 2**32 - 1)
    writer.add_int32("a.i32", -(2**31))
    writer.add_uint64("a.u64", 2**64 - 1)
    writer.add_int64("a.i64", -(2**63))
    writer.add_float32("a.f32", 0.1)
    writer.add_float64("a.f64", 1 / 3)
    writer.add_bool("a.yes", True)
    writer.add_bool("a.no", False)
    writer.add_array("a.numbers", [1, 2, 3])
    writer.add_array("a.long", list(range(1000)))
    writer.add_array("a.words", ["one", "zwei", "x" * 100])
    writer.add_key_value("a.arrays", [[1, 2], [3]], GGUFValueType.ARRAY, sub_type=GGUFValueType.ARRAY)
    writer.add_tensor("first", np.arange(5, dtype=np.float32))
    writer.add_tensor("second.weight", np.arange(24, dtype=np.float16).reshape(2, 3, 4))


def controlnet(writer):
    """The names of a small cldm ControlNet, as a quantiser makes it: matrices in Q8_0, the rest as it was."""
    def matrix(name, rows, columns):
        writer.add_tensor(name, some_bytes((rows, columns // 32 * 34)), raw_dtype=GGMLQuantizationType.Q8_0)

    def vector(name, count):
        writer.add_tensor(name, random.standard_normal(count, dtype=np.float32))

    matrix("zero_convs.1.0.weight", 32, 32)
    vector("zero_convs.1.0.bias", 32)
    matrix("input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", 4, 768)
    vector("middle_block_out.0.bias", 32)
    writer.add_tensor("zero_convs.0.0.weight", np.ones((32, 32, 1, 1), dtype=np.float16))
    writer.add_tensor("input_hint_block.0.weight", np.ones((16, 3, 3, 3), dtype=np.float16))
    vector("time_embed.0.bias", 64)
    matrix("input_blocks.0.0.weight", 32, 32)


write("types.gguf", every_type)
write("metadata.gguf", metadata)
write("controlnet.gguf", controlnet)
