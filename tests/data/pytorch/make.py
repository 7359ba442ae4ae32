#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes hand-*.pth of this folder: what torch writes on other machines, wrote long ago, or writes of sizes that are
not kept here; beside each a .safetensors of what must be read out of it."""
import os
import struct
import sys
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support"))
from torchfile import (ORDERED_DICT, Entry, archive, dict_of, legacy, model, name, number, numbers, pickle,
                       safetensors, storage, tensor, text, tuple_of)

FLOATS = struct.pack("<6f", *range(6))
PLAIN = {"w": ("F32", [2, 3], FLOATS)}
W = pickle(dict_of([("w", tensor(storage("0", 6), [2, 3]))]))


def save(label, data, expected):
    for suffix, content in ((".pth", data), (".safetensors", safetensors(expected))):
        with open(os.path.join(HERE, "hand-" + label + suffix), "wb") as out:
            out.write(content)


def big_endian():
    """Elements are swapped in groups: a complex number is two."""
    formats = {"F16": "e", "BF16": "H", "F32": "f", "F64": "d", "I16": "h", "I32": "i", "I64": "q", "U8": "B",
               "BOOL": "?"}
    items, storages, expected = [], {}, {}
    for i, (dtype, code) in enumerate(formats.items()):
        values = [n % 2 if dtype == "BOOL" else n * 3 + i for n in range(6)]
        items.append((dtype, tensor(storage(str(i), 6, dtype), [6])))
        items.append((dtype + ".columns", tensor(storage(str(i), 6, dtype), [3, 2], [1, 3])))
        storages[str(i)] = struct.pack(">6" + code, *values)
        columns = [values[j + 3 * k] for j in range(3) for k in range(2)]
        expected[dtype] = (dtype, [6], struct.pack("<6" + code, *values))
        expected[dtype + ".columns"] = (dtype, [3, 2], struct.pack("<6" + code, *columns))
    items.append(("C64", tensor(storage("c", 2, "C64"), [2])))
    storages["c"] = struct.pack(">4f", 1, 2, 3, 4)
    expected["C64"] = ("C64", [2], struct.pack("<4f", 1, 2, 3, 4))
    save("big-endian", model(pickle(dict_of(items)), storages, byteorder=b"big"), expected)


def archives():
    wide = struct.pack("<HHQQ", 1, 16, 24, 24)
    pickled, data = Entry("m/data.pkl", W), Entry("m/data/0", FLOATS)
    save("no-byteorder", archive([pickled, data]), PLAIN)
    save("no-zip64", archive([pickled, data], zip64=False), PLAIN)
    save("zip64", archive([pickled, Entry("m/data/0", FLOATS, central_size=0xffffffff, central_extra=wide)]), PLAIN)
    save("zip64-local",
         archive([pickled, Entry("m/data/0", FLOATS, flags=0, central_size=0xffffffff, central_extra=wide,
                                                local_size=0xffffffff, local_extra=wide)]), PLAIN)
    save("order", archive([Entry("m/.data/x", b"y"), data, Entry("m/data/1", b"unused"), pickled]), PLAIN)
    save("folder", archive([Entry("m/", b""), Entry("m/data/", b""), pickled, data]), PLAIN)
    path = os.path.join(HERE, "hand-zipped-again.pth")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as out:
        for entry, content in (("m/data.pkl", W), ("m/data/0", FLOATS)):
            out.writestr(zipfile.ZipInfo(entry, (1980, 1, 1, 0, 0, 0)), content)
    save("zipped-again", open(path, "rb").read(), PLAIN)


def python2(string):
    return b"U" + bytes([len(string)]) + string.encode()


def old():
    """Python 2 has short strings, and makes an OrderedDict of a list of pairs; old tensors have four arguments."""
    where = tuple_of(python2("storage"), name("torch", "FloatStorage"), python2("5"), python2("cpu"), number(6),
                     b"N") + b"Q"
    w = name("torch._utils", "_rebuild_tensor") + tuple_of(where, b"M\0\0", numbers([2, 3]), numbers([3, 1])) + b"R"
    pairs = b"]q\1(" + b"](" + python2("w") + w + b"e" + b"](" + python2("n") + b"Ne" + b"e"
    whole = name("collections", "OrderedDict") + b"q\0" + pairs + b"\x85Rq\2"
    versions = b"}" + python2("_metadata") + whole.replace(w, b"N") + b"s"
    keys = pickle(b"]" + python2("5") + b"a")
    save("python2", legacy(pickle(whole + versions + b"b"), {"5": (6, FLOATS)}, keys=keys), PLAIN)
    save("python2-wrapped", legacy(pickle(b"}" + python2("state_dict") + whole + b"s"), {"5": (6, FLOATS)}, keys=keys),
         PLAIN)

    def part(key, offset, count):
        return storage("5", 6, extra=tuple_of(text(key), number(offset), number(count)))
    parts = dict_of([("a", tensor(part("6", 1, 2), [2])), ("b", tensor(part("7", 3, 3), [2], offset=1)),
                     ("all", tensor(storage("5", 6, extra=b"N"), [6]))])
    save("parts", legacy(pickle(parts), {"5": (6, FLOATS)}),
         {"a": ("F32", [2], FLOATS[4:12]), "b": ("F32", [2], FLOATS[16:24]), "all": ("F32", [6], FLOATS)})
    parameter = (name("torch.nn.parameter", "Parameter") + tuple_of(tensor(storage("0", 6), [2, 3])) + b"R" +
                 tuple_of(b"\x88", b"\x89", ORDERED_DICT) + b"b")
    save("parameter", model(pickle(dict_of([("w", parameter)])), {"0": FLOATS}), PLAIN)
    newobj = (name("torch.nn.parameter", "Parameter") + tuple_of(tensor(storage("0", 6), [2, 3])) + b"\x81")
    save("parameter-newobj", model(pickle(dict_of([("w", newobj)])), {"0": FLOATS}), PLAIN)
    size = name("torch", "Size") + b"(" + numbers([2, 3]) + b"tR"
    sized = name("torch._utils", "_rebuild_tensor_v2") + tuple_of(storage("0", 6), number(0), size, numbers([3, 1]),
                                                                 b"\x89", b"N") + b"R"
    save("size", model(pickle(dict_of([("w", sized)])), {"0": FLOATS}), PLAIN)
    sets = b"\x8f(" + text("a") + b"\x90"
    frozen = b"(" + text("a") + b"\x91"
    array = b"\x96" + struct.pack("<Q", 2) + b"xy"
    other = dict_of([("w", tensor(storage("0", 6), [2, 3])), ("set", sets), ("frozen", frozen), ("bytes", b"C\3abc"),
                     ("list", b"(NNl"), ("dict", b"(NNd"), ("float", b"G" + struct.pack(">d", 0.5)),
                     ("array", array), ("dtype", name("torch", "float16")), (number(7), text("a number as key"))])
    save("values", model(pickle(other, 5), {"0": FLOATS}), PLAIN)


def main():
    big_endian()
    archives()
    old()


if __name__ == "__main__":
    main()
