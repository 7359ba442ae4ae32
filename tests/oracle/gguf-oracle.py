#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""GGUF files written by the package `gguf`: names, types, shapes, places, bytes and metadata are those of its reader.

usage: gguf-oracle.py [--files N] [--seed N]

The first file has a tensor of every type; the others random types, shapes, alignments, keys and values.
"""
import argparse
import collections
import importlib.metadata
import os
import random
import struct
import sys
import tempfile

import numpy
from gguf import GGML_QUANT_SIZES, GGUFReader, GGUFValueType, GGUFWriter

import dt2

TYPES = list(GGML_QUANT_SIZES)
INTEGERS = {GGUFValueType.UINT8: (0, 255), GGUFValueType.INT8: (-128, 127), GGUFValueType.UINT16: (0, 65535),
            GGUFValueType.INT16: (-32768, 32767), GGUFValueType.UINT32: (0, 2**32 - 1),
            GGUFValueType.INT32: (-2**31, 2**31 - 1), GGUFValueType.UINT64: (0, 2**64 - 1),
            GGUFValueType.INT64: (-2**63, 2**63 - 1)}


def add_tensor(rng, writer, name, kind):
    _, size = GGML_QUANT_SIZES[kind]
    shape = [rng.choice([1, 1, 2, 3, 5]) for _ in range(rng.randrange(4))] + [size * rng.choice([1, 1, 2, 4])]
    count = 1
    for n in shape:
        count *= n
    data = numpy.frombuffer(rng.randbytes(count), dtype=numpy.uint8).reshape(shape)
    writer.add_tensor(name, data, raw_dtype=kind)


def add_value(rng, writer, key):
    """Adds a value, and returns what our reader shall make of it: text, or a number to be read back from the text."""
    kind = rng.choice(list(INTEGERS) + [GGUFValueType.STRING, GGUFValueType.BOOL, GGUFValueType.FLOAT32,
                                        GGUFValueType.FLOAT64, GGUFValueType.ARRAY])
    if kind in INTEGERS:
        value = rng.choice([*INTEGERS[kind], 0, 1, rng.randint(*INTEGERS[kind])])
        shown = str(value)
    elif kind == GGUFValueType.STRING:
        value = shown = rng.choice(["x", "größer", "two\nlines", '"', "\U0001f600", "a" * 5000])
    elif kind == GGUFValueType.BOOL:
        value = rng.random() < 0.5
        shown = "true" if value else "false"
    elif kind == GGUFValueType.ARRAY:
        value = [rng.randint(0, 1000) for _ in range(rng.randint(1, 40))]
        shown = value
    else:
        value = rng.choice([0.0, -0.0, 1.0, 0.1, 1e-40, 1e38, float("inf"), rng.uniform(-1e6, 1e6)])
        if kind == GGUFValueType.FLOAT32:
            (value,) = struct.unpack("<f", struct.pack("<f", value))
        shown = value
    writer.add_key_value(key, value, kind, **({"sub_type": GGUFValueType.INT32} if isinstance(value, list) else {}))
    return kind, shown


def shown_as(kind, shown, text):
    """Whether `text` is what was to be shown."""
    if kind == GGUFValueType.ARRAY:
        rest = ", ... %d in all" % len(shown) if len(shown) > 16 else ""
        return text == "[%s%s]" % (", ".join(map(str, shown[:16])), rest)
    if kind == GGUFValueType.FLOAT32:
        return struct.pack("<f", float(text)) == struct.pack("<f", shown)
    if kind == GGUFValueType.FLOAT64:
        return struct.pack("<d", float(text)) == struct.pack("<d", shown)
    return text == shown


def write(rng, path, index):
    """A random file; returns its metadata as they shall be shown, and the number of tensors of each type."""
    writer, values, kinds = GGUFWriter(path, "oracle"), {}, collections.Counter()
    if rng.random() < 0.3:
        writer.add_custom_alignment(rng.choice([8, 16, 32, 64, 256, 4096]))
    for i in range(rng.randrange(6)):
        values["key.%d" % i] = add_value(rng, writer, "key.%d" % i)
    chosen = TYPES if index == 0 else [rng.choice(TYPES) for _ in range(rng.randint(1, 8))]
    for i, kind in enumerate(chosen):
        add_tensor(rng, writer, rng.choice(["t.%d.weight", "%d", "é%d", "x" * 50 + "%d"]) % i, kind)
        kinds[kind.name] += 1
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    if rng.random() < 0.3: # version 2 has the same layout
        with open(path, "r+b") as out:
            out.seek(4)
            out.write(struct.pack("<I", 2))
    return values, kinds


def table(reader):
    return {t.name: (t.tensor_type.name, t.shape.tolist()[::-1], t.data.tobytes()) for t in reader.tensors}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    args = parser.parse_args()
    print("gguf %s, seed %d" % (importlib.metadata.version("gguf"), args.seed))
    wrong, kinds = dt2.Differences("gguf"), collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for index in range(args.files):
            rng, path = random.Random("%d/%d" % (args.seed, index)), os.path.join(folder, "model.gguf")
            values, added = write(rng, path, index)
            kinds += added
            reader, what = GGUFReader(path), "file %d" % index
            try:
                with dt2.File(path) as file:
                    wrong.compare(what, file.tensors(), table(reader))
                    places = {t.name: t.data_offset for t in reader.tensors}
                    if file.offsets() != places:
                        wrong.add("%s: places %s; the library has %s" % (what, file.offsets(), places))
                    metadata = file.metadata()
            except dt2.Refused as refusal:
                wrong.add("%s: refused: %s" % (what, refusal))
                continue
            if set(metadata) - {"general.architecture", "general.alignment"} != set(values):
                wrong.add("%s: keys %s; the library has %s" % (what, sorted(metadata), sorted(values)))
            for key, (kind, shown) in values.items():
                if not shown_as(kind, shown, metadata.get(key, "")):
                    wrong.add("%s: %s is shown as %.80r, and is %.80r" % (what, key, metadata.get(key), shown))
            del reader # it maps the file
            os.remove(path)
    return wrong.finish("%d files, %d tensors of %d types" % (args.files, sum(kinds.values()), len(kinds)))


if __name__ == "__main__":
    sys.exit(main())
