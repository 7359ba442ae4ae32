#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A GGUF file of a safetensors file: the same tensors, elements as they are, for benchmarks and tests.

usage: gguffile.py IN.safetensors OUT.gguf
"""
import struct
import sys

from torchfile import copy, read_header

TYPES = {"F32": 0, "F16": 1, "I8": 24, "I16": 25, "I32": 26, "I64": 27, "F64": 28, "BF16": 30}
ALIGNMENT = 32


def text(string):
    return struct.pack("<Q", len(string.encode())) + string.encode()


def size_of(tensor):
    begin, end = tensor["data_offsets"]
    return end - begin


def write(source, header, begins, out):
    table, at = b"", 0
    for name, tensor in header.items():
        shape = tensor["shape"][::-1]
        table += text(name) + struct.pack("<I%dQIQ" % len(shape), len(shape), *shape, TYPES[tensor["dtype"]], at)
        at += size_of(tensor) + -size_of(tensor) % ALIGNMENT
    out.write(b"GGUF" + struct.pack("<IQQ", 3, len(header), 1))
    out.write(text("general.architecture") + struct.pack("<I", 8) + text("controlnet") + table)
    for name, tensor in header.items():
        out.write(bytes(-out.tell() % ALIGNMENT))
        source.seek(begins[name])
        copy(source, out, size_of(tensor))
    out.write(bytes(-out.tell() % ALIGNMENT))


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: gguffile.py IN.safetensors OUT.gguf")
    with open(sys.argv[1], "rb") as source, open(sys.argv[2], "wb") as out:
        header, begins = read_header(source)
        write(source, header, begins, out)


if __name__ == "__main__":
    main()
