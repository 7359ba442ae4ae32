#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the hostile PyTorch files of this folder, and verdicts.tsv: what the refusal of each must say.

Every file breaks one rule; what is not broken is as PyTorch writes it. None of them does harm by being there.
"""
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "support"))
from torchfile import (MAGIC, ORDERED_DICT, Entry, archive, dict_of, legacy, model, name, number, numbers, pickle,
                       storage, tensor, text, tuple_of)

DATA = struct.pack("<6f", *range(6))
GOOD = tensor(storage("0", 6), [2, 3])
CODE = "this file would run code: "
files = {}


def add(file, data, refusal):
    assert file not in files, file
    files[file] = (data, refusal)


def value(label, assembled, refusal, protocol=2):
    """A whole zip file whose pickle is `assembled`."""
    add("value-%s.pth" % label, model(pickle(assembled, protocol), {"0": DATA}), refusal)


def weight(label, assembled, refusal, data=DATA):
    """A state dict with one tensor."""
    add("tensor-%s.pth" % label, model(pickle(dict_of([("w", assembled)])), {"0": data}), refusal)


def call(module, attribute, *args):
    return name(module, attribute) + tuple_of(*args) + b"R"


# -- what would run code ------------------------------------------------------------------------------------------

def code():
    value("os-system", call("os", "system", text("id")),
          CODE + "os.system (opcode GLOBAL at byte 2 of archive/data.pkl)")
    value("posix-system", call("posix", "system", text("id")), CODE + "posix.system")
    value("builtins-eval", call("builtins", "eval", text("1")), CODE + "builtins.eval")
    value("python2-eval", call("__builtin__", "eval", text("1")), CODE + "__builtin__.eval")
    value("getattr", call("builtins", "getattr", name("torch", "Size"), text("x")), CODE + "builtins.getattr")
    value("copyreg", call("copyreg", "_reconstructor", name("collections", "OrderedDict")),
          "this file needs copyreg._reconstructor, which this reader does not know")
    value("load-from-bytes", call("torch.storage", "_load_from_bytes", b"C\1x"),
          CODE + "torch.storage._load_from_bytes")
    value("numpy", call("numpy.core.multiarray", "scalar"), "what it holds is numpy.core.multiarray.scalar, not a dict")
    value("module", call("torch.nn.modules.conv", "Conv2d"), "this file needs torch.nn.modules.conv.Conv2d, which this reader does not know")
    value("in-dict", dict_of([("good", GOOD), ("bad", call("os", "system", text("id")))]),
          CODE + "os.system (opcode GLOBAL at byte 176 of archive/data.pkl, for 'bad')")
    value("beside-state-dict", dict_of([("state_dict", dict_of([("w", GOOD)])), ("x", call("os", "popen"))]),
          CODE + "os.popen")
    value("stack-global", b"\x8c\2os\x8c\6system\x93)R", CODE + "os.system (opcode STACK_GLOBAL at byte 14", 4)
    value("stack-global-dotted", b"\x8c\5torch\x8c\x0a_utils.sys\x93)R", "this file needs torch._utils.sys, which this reader does not know", 4)
    value("inst", b"(ios\nsystem\n", CODE + "os.system (opcode INST at byte 3")
    value("obj", b"(" + name("collections", "OrderedDict") + b"o", "opcode OBJ at byte 28")
    value("inst-allowed", b"(icollections\nOrderedDict\n", "opcode INST at byte 3")
    value("newobj-ex", ORDERED_DICT + b")}\x92", "opcode NEWOBJ_EX at byte", 4)
    value("newobj-function", name("os", "system") + b")\x81", CODE + "os.system")
    value("newobj-rebuild", name("torch._utils", "_rebuild_tensor_v2") + b")\x81",
          "torch._utils._rebuild_tensor_v2 is called with the opcode that makes objects of classes")
    value("ext1", b"\x82\1", "opcode EXT1 at byte 2")
    value("persid", b"P0\n", "opcode PERSID at byte 2")
    value("dup", b"N2", "opcode DUP at byte 3")
    value("buffer", b"\x97", "opcode NEXT_BUFFER at byte 2", 5)
    value("no-opcode", b"\xff", "there is no such opcode (opcode 0xff at byte 2")
    value("build-tensor", dict_of([("w", GOOD + b"}b")]), "the state of a tensor is set (opcode BUILD at byte")
    value("build-global", name("torch", "Size") + b"}b", "the state of torch.Size is set")
    value("call-storage", call("torch", "FloatStorage", number(9)), "this file needs an object of torch.FloatStorage, which this reader does not make")
    value("call-dtype", call("torch", "float32"), "this file needs an object of torch.float32, which this reader does not make")
    value("call-string", text("os.system") + b")R", "a call of what is no function, but a string (opcode REDUCE")
    value("call-without-tuple", name("collections", "OrderedDict") + b"]R",
          "collections.OrderedDict is called with a list")
    value("ordered-dict-of-text", call("collections", "OrderedDict", text("ab")), "collections.OrderedDict is made of other than one list")
    value("size-of-text", call("torch", "Size", text("ab")), "torch.Size is called with other than one tuple")
    value("control-characters", call("os\33[2J", "system"), r"this file needs os\x1b[2J.system, which")
    value("long-name", call("o" * 201, "system"), "a name of more than 200 characters")
    value("nul-name", call("o\0s", "system"), "a name with the character NUL")


# -- what no pickler writes ---------------------------------------------------------------------------------------

def broken():
    value("protocol-0", b"N", "a pickle of protocol 0; 2 to 5 are read", 0)
    value("protocol-1", b"N", "a pickle of protocol 1", 1)
    value("protocol-6", b"N", "a pickle of protocol 6", 6)
    add("value-no-protocol.pth", model(b"cos\nsystem\n)R.", {}),
        "not a pickle of protocol 2 or later (opcode GLOBAL at byte 0")
    add("value-empty.pth", model(b"", {}), "the pickle ends too early")
    add("value-no-stop.pth", model(b"\x80\2}", {}),
        "the pickle ends too early: 1 bytes are wanted, and 0 are left (opcode STOP at byte 3")
    value("underflow-reduce", b"R", "the stack has no value left that it wants (opcode REDUCE at byte 2")
    value("underflow-setitem", b"}Ns", "opcode SETITEM")
    value("underflow-pop", b"0", "opcode POP at byte 2")
    value("underflow-tuple2", b"N\x86", "opcode TUPLE2")
    value("underflow-mark", b"t", "there is no mark on the stack (opcode TUPLE")
    value("underflow-below-mark", b"}(Ns", "opcode SETITEM")
    value("underflow-appends", b"](N(e", "opcode APPENDS")
    value("underflow-build", b"}b", "opcode BUILD")
    value("underflow-memo", b"\x94", "opcode MEMOIZE", 4)
    value("underflow-stop", b"", "0 values are left at the end of the pickle")
    value("two-values", b"NN", "2 values are left at the end of the pickle")
    value("open-mark", b"N(", "2 values are left at the end of the pickle")
    value("append-to-dict", b"}Na", "adds to a dict (opcode APPEND")
    value("append-to-none", b"NNa", "adds to None")
    value("setitems-to-list", b"](NNu", "adds to a list (opcode SETITEMS")
    value("odd-dict", b"}(Nu", "a key without a value")
    value("string-beyond", b"X\xff\xff\xff\x7fab",
          "2147483647 bytes are wanted, and 3 are left (opcode BINUNICODE at byte 2")
    value("string8-beyond", b"\x8d" + struct.pack("<Q", 2**64 - 1), "18446744073709551615 bytes are wanted", 4)
    value("bytes-beyond", b"B\xff\xff\xff\xff", "opcode BINBYTES")
    value("long-beyond", b"\x8b\xff\xff\xff\xff", "opcode LONG4")
    value("frame-beyond", b"\x95" + struct.pack("<Q", 1 << 40), "opcode FRAME", 4)
    value("memo-unset", b"h\7", "memo 7 was not set (opcode BINGET at byte 2")
    value("memo-index", b"Nr\xff\xff\xff\xff", "memo 4294967295 is set, when there are 0 (opcode LONG_BINPUT")
    value("nested-lists", b"]" * 2000 + b"a" * 1999, "values nested deeper than 100")
    value("nested-tuples", b"N" + b"\x85" * 2000, "values nested deeper than 100")
    value("nested-marks", b"(" * 2000, "more than 1000 marks are open")
    laughs = b"]\x94" + b"".join(b"0](h" + bytes([i]) + b"h" + bytes([i]) + b"e\x94" for i in range(120))
    value("memo-bomb", laughs, "values nested deeper than 100", 4)
    laughs = b"]q\0" + b"".join(b"0](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(60))
    value("memo-bomb-shallow", b"}" + text("a") + laughs + b"s", "it holds no tensors, but a")
    cycle = b"}q\0X\1\0\0\0ah\0s"
    value("cycle", cycle, "its state dict is in more than 16 others")
    nest = dict_of([("w", GOOD)])
    for _ in range(20):
        nest = dict_of([("state_dict", nest)])
    value("wrappers", nest, "its state dict is in more than 16 others")
    value("list", b"](" + GOOD + b"e", "what it holds is a list, not a dict of tensors")
    value("one-tensor", GOOD, "what it holds is a tensor, not a dict of tensors")
    value("none", b"N", "what it holds is None")
    value("empty-dict", b"}", "it holds no tensors")
    value("no-tensors", dict_of([("epoch", number(3)), ("x", text("y"))]), "it holds no tensors, but epoch, x")
    value("two-dicts", dict_of([("unet", dict_of([("w", GOOD)])), ("vae", dict_of([("w", GOOD)]))]),
          "several dicts of tensors, of which none is a network that is known: unet")


# -- storages and tensors -----------------------------------------------------------------------------------------

def tensors():
    at = storage("0", 6)
    twice = dict_of([("w", GOOD), ("w", GOOD)])
    value("twice", twice, "key 'w' is there twice")
    value("nul-in-name", dict_of([("a\0b", GOOD)]), r"tensor 'a\x00b': a name must not hold the character NUL")
    value("name-not-utf8", dict_of([(text(b"\xed\xa0\x80"), GOOD)]), "its name is not valid UTF-8")
    value("name-number", dict_of([(number(1), GOOD)]), "the name of a tensor is a number, not a string")
    value("pid-text", text("storage") + b"Q", "no storage of tensors (opcode BINPERSID at byte")
    value("pid-module", tuple_of(text("module"), number(1), number(2), number(3), number(4)) + b"Q",
          "no storage of tensors")
    value("pid-class", storage("0", 6, cls=name("torch", "float32")), "the class of a storage is torch.float32")
    value("pid-class-code", storage("0", 6, cls=name("os", "system")), CODE + "os.system")
    value("pid-negative", storage("0", -1), "with a negative number of elements")
    value("pid-long", storage("0", 1 << 70), "with a long number of elements")
    value("pid-part", storage("0", 6, extra=tuple_of(text("v"), number(3), number(4))),
          "a part of a storage that is not inside of it")
    value("quantised", dict_of([("conv.weight", name("torch._utils", "_rebuild_qtensor"))]),
          "quantised tensors of PyTorch cannot be loaded: torch._utils._rebuild_qtensor "
          "(opcode GLOBAL at byte 46 of archive/data.pkl, for 'conv.weight')")
    value("quantised-storage", storage("0", 6, cls=name("torch", "QInt8Storage")),
          "quantised tensors of PyTorch cannot be loaded: torch.QInt8Storage")
    value("complex128", storage("0", 3, cls=name("torch", "ComplexDoubleStorage")),
          "elements of this type cannot be loaded: torch.ComplexDoubleStorage")
    weight("storage-absent", tensor(storage("7", 6), [6]), "storage '7': the archive has no such entry")
    weight("storage-outside", tensor(storage("../../etc/passwd", 6), [6]),
           "storage '../../etc/passwd': the archive has no such entry")
    weight("storage-short", tensor(storage("0", 7), [7]),
           "storage '0': 7 elements of 4 bytes do not fit into its 24 bytes")
    weight("storage-huge", tensor(storage("0", 2**62), [6]), "do not fit into its 24 bytes")
    does_not_fit = "tensor 'w': offset, shape and strides do not fit into its storage of 24 bytes"
    weight("shape-long", tensor(at, [7]), does_not_fit)
    weight("offset-long", tensor(at, [6], offset=1), does_not_fit)
    weight("offset-huge", tensor(at, [1], offset=2**62), does_not_fit)
    weight("empty-outside", tensor(at, [0], offset=7), does_not_fit)
    weight("stride-long", tensor(at, [2, 3], [4, 1]), does_not_fit)
    weight("dtype-wide",
           tensor(at, [6], function="_rebuild_tensor_v3",
                  tail=b"\x89" + ORDERED_DICT + name("torch", "float64")), does_not_fit)
    weight("stride-negative", tensor(at, [6], [-1], offset=5), "tensor 'w': stride 0 is negative")
    weight("stride-negative-unused", tensor(at, [1, 6], [-1, 1]), "tensor 'w': stride 0 is negative")
    weight("size-negative", tensor(at, [-6], [1]), "tensor 'w': dimension 0 is negative")
    weight("offset-negative", tensor(at, [1], offset=-1), "tensor 'w': its offset in the storage is negative")
    weight("stride-overflow", tensor(at, [3, 3], [2**62, 1]), "tensor 'w': its strides lead 2^64 bytes or more away")
    weight("shape-overflow", tensor(at, [2**32, 2**32], [0, 0]), "tensor 'w': its shape has 2^64 elements or more")
    weight("bytes-overflow", tensor(at, [2**31, 2**31], [0, 0]), "tensor 'w': its shape has 2^64 bytes or more")
    weight("expanded", tensor(at, [2**20, 2**20], [0, 0]), "its tensors repeat the bytes of a file of")
    weight("strides-few", tensor(at, [2, 3], [1]), "tensor 'w': 2 dimensions, and 1 strides")
    weight("rank", tensor(at, [1] * 65), "tensor 'w': 65 dimensions; 64 can be read")
    weight("size-text", name("torch._utils", "_rebuild_tensor_v2") +
           tuple_of(at, number(0), tuple_of(text("6")), numbers([1]), b"\x89", ORDERED_DICT) + b"R",
           "tensor 'w': dimension 0 is a string")
    weight("no-storage", name("torch._utils", "_rebuild_tensor_v2") +
           tuple_of(b"N", number(0), numbers([6]), numbers([1]), b"\x89", ORDERED_DICT) + b"R",
           "tensor 'w': storage, offset, size and stride are None, a number, a tuple and a tuple")
    weight("arguments", name("torch._utils", "_rebuild_tensor_v2") + tuple_of(at, number(0)) + b"R",
           "tensor 'w': torch._utils._rebuild_tensor_v2 is called with 2 arguments")
    weight("dtype-text", tensor(at, [6], function="_rebuild_tensor_v3", tail=b"\x89" + ORDERED_DICT + text("float32")),
           "tensor 'w': its dtype is a string")
    weight("conjugated", tensor(at, [6], tail=b"\x89" + ORDERED_DICT + dict_of([("conj", b"\x88")])),
           "tensor 'w': its elements are to be conjugated or negated")
    weight("metadata", tensor(at, [6], tail=b"\x89" + ORDERED_DICT + text("x")), "tensor 'w': its metadata is a string")
    weight("parameter-of-text", call("torch._utils", "_rebuild_parameter", text("x"), b"\x88", ORDERED_DICT),
           "tensor 'w': torch._utils._rebuild_parameter is called with no tensor")


# -- the archive --------------------------------------------------------------------------------------------------

def zips():
    good = pickle(dict_of([("w", GOOD)]))
    head = Entry("m/data.pkl", good)
    data = Entry("m/data/0", DATA)

    def zipped(label, entries, refusal, **lies):
        add("zip-%s.pth" % label, archive(entries, **lies), refusal)

    def extra(**lies):
        return Entry("m/extra", b"12345678", **lies)

    deflated = Entry("m/data.pkl", b"\x4b\4\0", method=8, central_size=10**10 % 2**32, stored_size=3)
    zipped("deflated", [deflated, data], "entry 'm/data.pkl': it is compressed (method 8, deflate)")
    zipped("deflated-locally", [Entry("m/data.pkl", good, method=8, central_method=0), data],
           "entry 'm/data.pkl': its compression in the local header")
    zipped("stored-size", [head, data, extra(stored_size=4)], "entry 'm/extra': 8 bytes are stored as 4")
    zipped("encrypted", [head, data, extra(flags=0x809)], "entry 'm/extra': it is encrypted")
    zipped("same-place", [head, data, Entry("m/extra", DATA, header=0)], "entry 'm/")
    overlap = archive([head, data])
    at = overlap.index(b"PK\3\4", 4)
    zipped("overlap", [head, Entry("m/data/0", DATA), Entry("m/inside", b"", header=at + 8)],
           "where something else begins")
    zipped("too-long", [head, Entry("m/data/0", DATA, central_size=10000)], "entry 'm/data/0': 10000 bytes from byte")
    zipped("behind-directory", [head, data, Entry("m/extra", b"", header=10**6)],
           "entry 'm/extra': 0 bytes from byte 1000000 on do not end before byte")
    zipped("no-local-header", [head, data, Entry("m/extra", b"", header=8)], "entry 'm/")
    zipped("local-name", [head, data, extra(central_name=b"m/other")], "entry 'm/other': its name in the local header")
    zipped("local-flags", [head, data, extra(central_flags=0)], "entry 'm/extra': its flags in the local header")
    zipped("local-size", [head, data, extra(flags=0, local_size=7)], "entry 'm/extra': its size in the local header")
    zipped("local-size-descriptor", [head, data, extra(local_size=7)], "entry 'm/extra': its size in the local header")
    zipped("local-checksum", [head, data, extra(flags=0, local_crc=7)],
           "entry 'm/extra': its checksum in the local header")
    zipped("name-up", [head, data, Entry("m/../../x", b"")], "entry 'm/../../x': its name leads out of the archive")
    zipped("name-absolute", [head, data, Entry("/etc/x", b"")], "entry '/etc/x': its name is no relative path")
    zipped("name-backslash", [head, data, Entry("m\\x", b"")], "its name is no relative path")
    zipped("name-nul", [head, data, Entry(b"m/a\0b", b"")], r"entry 'm/a\x00b': its name holds the character NUL")
    zipped("name-empty", [head, data, Entry("", b"")], "it has no name")
    zipped("twice", [head, data, data], "entry 'm/data/0': its name is there twice")
    zipped("zip64-missing", [head, data, extra(central_size=2**32 - 1)], "entry 'm/extra': its zip64 field is missing")
    zipped("zip64-short", [head, data, extra(central_size=2**32 - 1, central_extra=struct.pack("<HHQ", 1, 8, 8))],
           "entry 'm/extra': its zip64 field is missing, or wrong")
    zipped("zip64-twice",
           [head, data, extra(central_size=2**32 - 1, central_extra=struct.pack("<HHQQ", 1, 16, 8, 8) * 2)],
           "entry 'm/extra': its zip64 field is missing, or wrong")
    zipped("zip64-huge",
           [head, data, extra(central_size=2**32 - 1, central_extra=struct.pack("<HHQQ", 1, 16, 2**63, 2**63))],
           "entry 'm/extra': 9223372036854775808 bytes from byte")
    zipped("zip64-local", [head, data, extra(flags=0, local_size=2**32 - 1)],
           "entry 'm/extra': the zip64 field of its local header is missing")
    zipped("zip64-count", [head, data], "its end record and its zip64 record differ", end64_count=3)
    zipped("zip64-locator", [head, data], "there is no zip64 record at byte 0, or not all of one", locator_at=0)
    zipped("zip64-outside", [head, data], "its zip64 record would be at byte 1152921504606846976", locator_at=2**60)
    zipped("count-more", [head, data], "3 entries in a directory of 110 bytes", count=3)
    zipped("count-less", [head, data], "bytes behind its 1 entries", count=1)
    zipped("count-huge", [head, data], "entries in a directory of", count=0xfffe)
    zipped("directory-at", [head, data], "does not end at byte", directory_at=64)
    zipped("directory-size", [head, data], "does not end at byte", zip64=False, directory_size=40)
    zipped("comment", [head, data], "it does not end with its end record", comment=b"hello")
    zipped("tail", [head, data], "it does not end with its end record", tail=b"\0")
    whole = archive([head, data])
    add("zip-cut.pth", whole[:len(whole) // 2], "it does not end with its end record; the file is cut short")
    add("zip-header-only.pth", whole[:30], "it does not end with its end record")
    zipped("empty", [], zip64=False, refusal="not a model file: a zip archive, but not of PyTorch")
    zipped("no-pickle", [Entry("m/weights.npy", DATA)], "it has no NAME/data.pkl")
    zipped("pickle-deeper", [Entry("a/b/data.pkl", good), data], "it has no NAME/data.pkl")
    zipped("two-pickles", [head, data, Entry("n/data.pkl", good)], "more than one data.pkl")
    zipped("script", [head, data, Entry("m/constants.pkl", b""), Entry("m/code/x.py", b"")],
           CODE + "it is a TorchScript program")
    zipped("byteorder", [head, data, Entry("m/byteorder", b"middle")], "its byteorder is neither little nor big")
    zipped("byteorder-long", [head, data, Entry("m/byteorder", b"little" * 9)], "its byteorder is neither")


# -- the legacy layout --------------------------------------------------------------------------------------------

def legacies():
    def w(where=storage("5", 6, extra=b"N")):
        return pickle(dict_of([("w", tensor(where, [6]))]))
    good = {"5": (6, DATA)}
    add("legacy-os-system.pth", pickle(call("os", "system", text("id"))), CODE + "os.system (opcode GLOBAL at byte 2)")
    add("legacy-os-system-value.pth", legacy(pickle(call("os", "system", text("id"))), {}), CODE + "os.system")
    add("legacy-os-system-keys.pth", legacy(w(), good, keys=pickle(call("os", "system", text("id")))),
        CODE + "os.system")
    add("legacy-pickle.pth", pickle(dict_of([("w", number(1))])),
        "not a model file: a pickle, but not of PyTorch: it is a dict")
    add("legacy-magic.pth", legacy(w(), good, magic=pickle(number(1 << 70))), "but not of PyTorch")
    add("legacy-protocol.pth", legacy(w(), good, protocol=pickle(number(1002))), "the protocol of its file is not 1001")
    add("legacy-magic-alone.pth", MAGIC, "the pickle ends too early")
    add("legacy-count.pth", legacy(w(), {"5": (5, DATA[:20])}),
        "storage '5': 5 elements are there, and the pickle says 6")
    add("legacy-short.pth", legacy(w(), good)[:-1], "storage '5': 6 elements of 4 bytes at byte")
    add("legacy-no-storage.pth", legacy(w(), {}, keys=pickle(b"](" + text("5") + b"e")),
        "storage '5': the file ends before it")
    add("legacy-count-huge.pth", legacy(w(), {"5": (2**64 - 1, DATA)}), "storage '5': 18446744073709551615 elements")
    add("legacy-key-absent.pth", legacy(w(), {}), "storage '5': it is not among those of the file")
    add("legacy-key-unknown.pth", legacy(w(), {"6": (6, DATA), "5": (6, DATA)}), "storage '6': no tensor has it")
    add("legacy-key-twice.pth",
        legacy(w(), good, keys=pickle(b"](" + text("5") + text("5") + b"e")) + struct.pack("<Q", 6) + DATA,
        "storage '5': its key is there twice")
    add("legacy-key-number.pth", legacy(w(), good, keys=pickle(b"](" + number(5) + b"e")),
        "the key of a storage is a number")
    add("legacy-keys-dict.pth", legacy(w(), good, keys=pickle(b"}")), "the keys of its storages are a dict, not a list")
    both = dict_of([("a", tensor(storage("5", 6), [6])), ("b", tensor(storage("5", 6, "I32"), [6]))])
    add("legacy-two-types.pth", legacy(pickle(both), good),
        "storage '5': it is both torch.FloatStorage and torch.IntStorage")
    part = storage("5", 6, extra=tuple_of(text("v"), number(2), number(3)))
    add("legacy-part.pth", legacy(pickle(dict_of([("w", tensor(part, [4]))])), good),
        "do not fit into its storage of 12 bytes")
    add("legacy-protocol-byte.pth", b"\x80\7N.0123456", "a pickle of protocol 7")
    header = bytearray(512)
    header[0:8], header[257:262] = b"sys_info", b"ustar"
    add("legacy-tar.pth", bytes(header) + bytes(1024),
        "a tar archive, as the first versions of PyTorch wrote, is not read")


# -- what Python would read in another way than a reader of plain values -------------------------------------------

def put(index):
    return b"q" + bytes([index])


def get(index):
    return b"h" + bytes([index])


def words():
    """Values have a state, the last word counts, and a name in memory is the same thing everywhere."""
    parameter = name("torch.nn.parameter", "Parameter") + GOOD + b"\x85R"
    where = storage("0", 6)

    def built(label, state, refusal):
        value("state-" + label, dict_of([("w", parameter + state + b"b")]), refusal)

    def with_attribute(attribute):
        return name("torch._tensor", "_rebuild_from_type_v2") + tuple_of(
            name("torch._utils", "_rebuild_tensor_v2"), name("torch", "Tensor"),
            tuple_of(where, number(0), numbers([6]), numbers([1]), b"\x89", ORDERED_DICT),
            b"}" + text(attribute) + b"K\1s") + b"R"

    not_plain = "the state of a Parameter is not (requires_grad, volatile, no hooks)"
    built("of-four", tuple_of(where, number(0), numbers([6]), numbers([1])), not_plain)
    built("of-five", tuple_of(GOOD, b"NN", b"\x89\x89"), not_plain)
    built("twice", tuple_of(b"\x89\x89N") + b"b" + tuple_of(b"\x89\x89N"), "the state of a Parameter is set twice")
    for attribute in ("data", "real", "__class__"):
        value("attribute-" + attribute.strip("_"), dict_of([("w", with_attribute(attribute))]),
              "an attribute would change the tensor itself: " + attribute)
    value("wrapper-twice", dict_of([("state_dict", dict_of([("w", GOOD)])), ("state_dict", dict_of([("v", GOOD)]))]),
          "key 'state_dict' is there twice")
    value("tensor-then-none", dict_of([("w", GOOD), ("w", b"N")]), "key 'w' is there twice")
    value("state-dict-list", dict_of([("state_dict", b"]"), ("model", dict_of([("w", GOOD)]))]),
          "its state_dict is a list, not a dict")
    pairs = b"]" + put(1) + text("w") + GOOD + b"\x86a"
    cls = name("collections", "OrderedDict")
    value("newobj-pairs", cls + pairs + b"\x85\x81", "collections.OrderedDict is made of other than one list")
    value("list-grows", cls + pairs + b"\x85R" + get(1) + text("v") + GOOD + b"\x86a0",
          "a list grows after a call has taken it")
    value("list-twice", b"}" + text("a") + cls + pairs + b"\x85Rs" + text("b") + cls + get(1) + b"\x85Rs",
          "other than one list that is used once")
    value("pairs-of-three", cls + b"]" + numbers([1, 2, 3]) + b"a\x85R", "a list of other than pairs")
    value("key-list", b"}]K\1s", "the key of a dict is a list")
    value("append-to-set", b"\x8fK\1a", "adds to a set")
    value("state-plain-dict", b"}}b", "a dict that is no OrderedDict gets a state")
    value("state-dict-items", ORDERED_DICT + b"}" + text("items") + b"}sb", "the attribute of an OrderedDict is other")
    value("pid-meta", dict_of([("w", tensor(where.replace(text("cpu"), text("meta")), [6]))]),
          "a storage on the device meta, which has no bytes")
    value("pid-part-none", dict_of([("w", tensor(storage("0", 6, extra=b"N"), [6]))]), "as in old files alone")
    value("pid-sizes", dict_of([("a", tensor(storage("0", 4), [4])), ("b", tensor(where, [6]))]),
          "it is named with two types or sizes")
    value("pid-types", dict_of([("a", tensor(where, [6])), ("b", tensor(storage("0", 6, "I32"), [6]))]),
          "it is named with two types or sizes")
    value("sparse", name("torch._utils", "_rebuild_sparse_tensor"), "sparse tensors cannot be loaded")
    value("old-tensor", name("torch", "FloatTensor"), "as the first versions of PyTorch wrote them")


def cases():
    """PyTorch looks names of entries up without regard to case, and the archive's own name in the first."""
    good = pickle(dict_of([("w", GOOD)]))
    differs = "another name differs from it in case only"
    add("zip-case-storage.pth", model(good, {"0": DATA}, more=[Entry("archive/DATA/0", DATA)]), differs)
    add("zip-case-order.pth", model(good, {"0": DATA}, more=[Entry("archive/ByteOrder", b"big")]), differs)
    add("zip-case-order-alone.pth", model(good, {"0": DATA}, byteorder=None, more=[Entry("archive/ByteOrder", b"big")]),
        "entry 'archive/ByteOrder' of the archive is byteorder but for its case")
    add("zip-case-script.pth", model(good, {"0": DATA}, more=[Entry("archive/Constants.pkl", b"N.")]),
        "entry 'archive/Constants.pkl' of the archive is constants.pkl but for its case")
    add("zip-order-nul.pth", model(good, {"0": DATA}, byteorder=b"little\0"), "its byteorder is neither little nor big")
    add("zip-first-elsewhere.pth", archive([Entry("other/data/0", DATA), Entry("m/data.pkl", good), Entry("m/data/0", DATA)]),
        "whose first entry is not in the folder of data.pkl")
    v3 = tensor(storage("0", 24, cls=name("torch.storage", "UntypedStorage")), [6], function="_rebuild_tensor_v3",
                tail=b"\x89" + ORDERED_DICT + name("torch", "float32"))
    add("zip-big-untyped.pth", model(pickle(dict_of([("w", v3)])), {"0": DATA}, byteorder=b"big"),
        "big-endian elements in a storage without a dtype")
    both = {"5": (6, DATA), "6": (6, DATA)}

    def parts(label, first, second, refusal):
        a = tensor(storage("5", 6, extra=first), [1])
        b = tensor(storage("6", 6, extra=second), [1])
        add("legacy-part-%s.pth" % label, legacy(pickle(dict_of([("a", a), ("b", b)])), both), refusal)
    parts("two-meanings", tuple_of(text("v"), number(0), number(2)), tuple_of(text("v"), number(2), number(2)),
          "this part of a storage is named with two meanings")
    parts("a-storage", tuple_of(text("6"), number(0), number(2)), b"N", "a part of a storage has its key too")


def main():
    for part in (code, broken, tensors, zips, legacies, words, cases):
        part()
    for file in os.listdir(HERE):
        if file.endswith(".pth"):
            os.remove(os.path.join(HERE, file))
    with open(os.path.join(HERE, "verdicts.tsv"), "w") as verdicts:
        verdicts.write("file\tthe refusal says\n")
        for file, (data, refusal) in sorted(files.items()):
            with open(os.path.join(HERE, file), "wb") as out:
                out.write(data)
            verdicts.write("%s\t%s\n" % (file, refusal))


if __name__ == "__main__":
    main()
