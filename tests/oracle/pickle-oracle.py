#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Pickles written opcode by opcode, legal and odd, beside torch.load() in both of its modes.

usage: pickle-oracle.py [--files N] [--seed N]

What we read must be what torch reads. Where its two modes read different tensors, we must refuse. What only we refuse, and
what only torch refuses, is counted. Every global that torch's own list allows must be read, or refused by its name.
"""
import argparse
import collections
import io
import os
import random
import struct
import sys
import tempfile
import warnings
import zipfile

import torch

import dt2

warnings.filterwarnings("ignore")
NAMES = {torch.float32: "F32", torch.float16: "F16", torch.uint8: "U8", torch.int64: "I64", torch.bfloat16: "BF16"}
CLASSES = {"FloatStorage": 4, "HalfStorage": 2, "ByteStorage": 1, "LongStorage": 8, "BFloat16Storage": 2}


class Writer:
    """The opcodes of a pickle; each method leaves one value more on the stack."""

    def __init__(self, rng):
        self.rng, self.out, self.memo, self.odd = rng, [b"\x80\x02"], 0, []

    def put(self, data):
        self.out.append(data)

    def one_in(self, times, what):
        """Whether to do something odd here."""
        if self.rng.randrange(times):
            return False
        self.odd.append(what)
        return True

    def string(self, text):
        data = text.encode()
        self.put(self.rng.choice([b"X" + struct.pack("<I", len(data)), b"U" + bytes([len(data)])]) + data)

    def number(self, value):
        self.put(b"K" + bytes([value]) if 0 <= value < 256 else b"J" + struct.pack("<i", value))

    def glob(self, name):
        module, _, leaf = name.rpartition(".")
        self.put(b"c" + module.encode() + b"\n" + leaf.encode() + b"\n")

    def remember(self):
        self.memo += 1
        self.put(b"q" + bytes([self.memo - 1]))
        return self.memo - 1

    def numbers(self, values):
        self.put(b"(")
        for value in values:
            self.number(value)
        self.put(b"t")


class Case:
    """One file: storages, their bytes, and a pickle that names them."""

    def __init__(self, rng):
        self.rng, self.w, self.legacy = rng, Writer(rng), rng.random() < 0.3
        self.storages = []
        for i in range(rng.randint(1, 3)):
            name = rng.choice(list(CLASSES))
            self.storages.append([str(i), name, rng.choice([4, 8, 12])])
        self.containers, self.tensors, self.lists = [], [], []

    def storage(self):
        w, (key, name, count) = self.w, self.rng.choice(self.storages)
        w.put(b"(")
        w.string("storage")
        if w.one_in(150, "another class"):
            name = self.rng.choice(list(CLASSES))
        if w.one_in(150, "another size"):
            count = self.rng.choice([2, 4, 8, 12])
        prefix = "torch.cuda." if w.one_in(60, "class of cuda") else "torch."
        w.glob("torch.storage.UntypedStorage" if w.one_in(200, "untyped") else prefix + name)
        w.string(key)
        w.string(self.rng.choice(["cpu", "cuda:0"]) if not w.one_in(300, "meta") else "meta")
        w.number(count)
        if self.legacy:
            if w.one_in(6, "a part"):
                w.put(b"(")
                w.string(self.rng.choice(["v0", "v1", "0"]) if self.rng.random() < 0.5 else "v%d" % w.rng.randrange(100))
                w.number(self.rng.randint(0, 2))
                w.number(self.rng.randint(1, 2))
                w.put(b"t")
            else:
                w.put(b"N")
        elif w.one_in(300, "a part in a new file"):
            w.put(b"N")
        if w.one_in(300, "an id that is a list"):
            w.put(b"l")
        else:
            w.put(b"t")
        w.put(b"Q")

    def hooks(self):
        w = self.w
        if w.one_in(300, "no hooks"):
            w.put(b"N")
        elif self.containers and w.one_in(150, "hooks that are another dict"):
            w.put(b"h" + bytes([self.rng.choice(self.containers)]))
        else:
            w.glob("collections.OrderedDict")
            w.put(b")R")

    def plain(self):
        """A call that makes a tensor."""
        w, rng = self.w, self.rng
        v3 = w.one_in(40, "v3")
        w.glob("torch._utils._rebuild_tensor_v3" if v3 else "torch._utils._rebuild_tensor_v2")
        w.put(b"(")
        self.storage()
        shape = rng.choice([(1,), (2,), (1, 2), (2, 2), (4,), (), (0, 3)])
        stride = [1] * len(shape)
        for i in range(len(shape) - 2, -1, -1):
            stride[i] = stride[i + 1] * shape[i + 1]
        if w.one_in(40, "other strides"):
            stride = [rng.choice([0, 1, 2, 3, -1]) for _ in shape]
        w.number(rng.randint(0, 1) if not w.one_in(200, "a negative offset") else -1)
        if w.one_in(30, "torch.Size"):
            w.glob("torch.Size")
            w.numbers(shape)
            w.put(b"\x85R")
        else:
            w.numbers(shape)
        w.numbers(stride)
        w.put(b"\x89")
        self.hooks()
        if v3:
            w.glob(rng.choice(["torch.float32", "torch.float16", "torch.uint8"]))
        if w.one_in(50, "metadata"):
            w.put(rng.choice([b"}", b"N", b"}X\x03\x00\x00\x00neg\x88s"]))
        w.put(b"tR")

    def attributes(self):
        w = self.w
        w.put(b"}")
        w.string(self.rng.choice(["tag", "tag", "data", "grad", "requires_grad", "_x", "__class__", "shape", "real"]))
        self.plain() if self.rng.random() < 0.3 else w.put(b"K\x07")
        w.put(b"s")

    def state(self):
        """BUILD on the tensor on top."""
        w, rng = self.w, self.rng
        kind = rng.randrange(5)
        w.put(b"(")
        if kind == 0:
            w.put(b"\x89\x89")
            self.hooks()
        elif kind == 1:
            self.storage()
            w.number(0)
            w.numbers((1,))
            w.numbers((1,))
        elif kind == 2:
            self.plain()
            w.put(b"NN\x89\x89")
        elif kind == 3:
            w.put(b"\x89N")
        else:
            w.put(b"\x89\x89N")
        w.put(b"tb")

    def tensor(self):
        w, rng = self.w, self.rng
        if self.tensors and w.one_in(12, "a tensor again"):
            w.put(b"h" + bytes([rng.choice(self.tensors)]))
        elif w.one_in(8, "a Parameter"):
            kind = rng.randrange(5)
            if kind == 0:
                w.glob("torch._utils._rebuild_parameter")
                self.plain()
                w.put(b"\x89")
                self.hooks()
                w.put(b"\x87R")
            elif kind == 1:
                w.glob("torch._utils._rebuild_parameter_with_state")
                w.put(b"(")
                self.plain()
                w.put(b"\x89")
                self.hooks()
                self.attributes()
                w.put(b"tR")
            else:
                w.glob("torch.nn.parameter.Parameter")
                self.plain()
                w.put(rng.choice([b"\x89\x86R", b"\x89\x86\x81"]))
                if w.one_in(3, "its state"):
                    self.state()
        elif w.one_in(30, "from a type"):
            w.glob("torch._tensor._rebuild_from_type_v2")
            w.put(b"(")
            mark = len(w.out)
            self.plain()
            # c function ( args t R  ->  c function, class, ( args t, attributes
            function, rest = w.out[mark], w.out[mark + 1:-1]
            del w.out[mark:]
            w.put(function)
            w.glob("torch.Tensor")
            w.out.extend(rest)
            w.put(b"t")
            self.attributes()
            w.put(b"tR")
        else:
            self.plain()
            if w.one_in(200, "the state of a tensor"):
                self.state()
        self.tensors.append(w.remember())

    def other(self):
        """A value that is no tensor."""
        w, rng = self.w, self.rng
        kind = rng.randrange(9)
        if kind == 0:
            w.glob(rng.choice(["builtins.set", "__builtin__.set", "collections.Counter"]))
            w.put(b"]\x85R")
        elif kind == 1:
            w.glob("_codecs.encode")
            w.string("ab")
            w.string("latin1")
            w.put(b"\x86R")
        elif kind == 2:
            w.glob("torch.device")
            w.string("cpu")
            w.put(b"\x85R")
        elif kind == 3:
            w.glob("builtins.complex")
            w.put(b"K\x01K\x02\x86R")
        elif kind == 4:
            w.glob("torch.float16")
        elif kind == 5:
            w.put(b"]")
            self.lists.append(w.remember())
        elif kind == 6 and self.lists:
            w.put(b"h" + bytes([rng.choice(self.lists)]))
            w.put(b"K\x01a")
        elif kind == 7:
            w.put(b"N")
        else:
            w.number(rng.randrange(1000))

    def key(self, keys):
        if keys and self.w.one_in(40, "a key twice"):
            key = self.rng.choice(keys)
        else:
            key = "t%d.weight" % len(keys)
        keys.append(key)
        self.w.string(key)

    def entries(self):
        w, rng, keys = self.w, self.rng, []
        for _ in range(rng.randint(1, 5)):
            if w.one_in(60, "a key that is no string"):
                w.put(rng.choice([b"K\x01", b"\x88", b"G?\xf0\0\0\0\0\0\0"]))
                self.other()
            else:
                self.key(keys)
                self.tensor() if rng.random() < 0.8 else self.other()
            w.put(b"s")

    def pairs(self):
        """A list of pairs for an OrderedDict, that may grow afterwards."""
        w, keys = self.w, []
        w.put(b"]")
        own = w.remember()
        for _ in range(self.rng.randint(1, 3)):
            self.key(keys)
            self.tensor()
            w.put(b"\x86a")
        return own

    def grow(self, own):
        w = self.w
        w.put(b"h" + bytes([own]))
        w.string("late")
        self.tensor()
        w.put(b"\x86a0")

    def state_dict(self):
        w, rng = self.w, self.rng
        kind = rng.randrange(8)
        if kind == 0:
            w.glob("collections.OrderedDict")
            own = self.pairs()
            odd = w.one_in(5, "OrderedDict by NEWOBJ, of a list")
            w.put(b"\x85" + (b"\x81" if odd else b"R"))
            if w.one_in(4, "a list that grows"):
                self.grow(own)
        elif kind < 5:
            w.glob("collections.OrderedDict")
            w.put(b")" + rng.choice([b"R", b"\x81"]))
        else:
            w.put(b"}")
        self.containers.append(w.remember())
        if kind:
            self.entries()
        if w.one_in(15, "an attribute of the dict"):
            w.put(b"}")
            w.string(rng.choice(["_metadata", "_metadata", "keys", "items"]))
            w.put(b"}sb")

    def wrapped(self):
        w, rng = self.w, self.rng
        if rng.random() < 0.6:
            return self.state_dict()
        w.put(b"}")
        w.string("epoch")
        self.other()
        w.put(b"s")
        w.string("state_dict")
        self.state_dict()
        w.put(b"s")
        if w.one_in(10, "a wrapper twice"):
            w.string("state_dict")
            self.state_dict()
            w.put(b"s")

    def pickle(self):
        self.wrapped()
        self.w.put(b".")
        return b"".join(self.w.out)

    def save(self, path):
        pickle, rng = self.pickle(), self.rng
        data = {key: rng.randbytes(CLASSES[name] * count) for key, name, count in self.storages}
        if self.legacy:
            used = [s for s in self.storages if b"\x01" + s[0].encode() in pickle or s[0].encode() in pickle]
            with open(path, "wb") as f:
                f.write(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.")
                f.write(pickle)
                keys = Writer(rng)
                keys.put(b"](")
                for key, _, _ in used:
                    keys.string(key)
                keys.put(b"e.")
                f.write(b"".join(keys.out))
                for key, name, count in used:
                    f.write(struct.pack("<q", count) + data[key])
            return
        entries = [("archive/data.pkl", pickle)]
        if not self.w.one_in(5, "no byteorder"):
            order = b"little" if not self.w.one_in(60, "a byteorder with NUL") else b"little\0"
            entries.append(("archive/" + ("byteorder" if not self.w.one_in(60, "ByteOrder") else "ByteOrder"), order))
        if self.w.one_in(60, "big, in another case"):
            entries.append(("archive/BYTEORDER", b"big"))
        entries += [("archive/data/" + key, value) for key, value in data.items()]
        if self.w.one_in(60, "a storage in another case"):
            entries.append(("archive/DATA/0", rng.randbytes(len(data["0"]))))
        entries.append(("archive/version", b"3\n"))
        if self.w.one_in(30, "another order"):
            rng.shuffle(entries)
        if self.w.one_in(60, "a file beside"):
            entries.insert(rng.choice([0, len(entries)]), ("other/thing", b"x"))
        with zipfile.ZipFile(path, "w") as archive:
            for name, value in entries:
                archive.writestr(zipfile.ZipInfo(name), value)


def unwrap(value):
    if isinstance(value, dict) and "state_dict" in value:
        value = value["state_dict"]
    if not isinstance(value, dict):
        raise ValueError("no dict")
    return dict(dict.items(value))


def by_torch(path, safe):
    """The table that torch reads, or None with the reason."""
    try:
        value = unwrap(torch.load(path, map_location="cpu", weights_only=safe))
        found = {}
        for name, tensor in value.items():
            if isinstance(tensor, torch.Tensor):
                if tensor.is_neg() or tensor.is_conj() or tensor.device.type == "meta":
                    return None, "not plain"
                flat = tensor.detach().contiguous().reshape(-1)
                data = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
                found[name] = (NAMES[tensor.dtype], list(tensor.shape), data)
        return found, ""
    except Exception as error:  # whatever torch refuses with
        return None, "%s: %s" % (type(error).__name__, str(error)[:100])


def check_globals(wrong, path):
    from torch import _weights_only_unpickler as unpickler
    for name in sorted(unpickler._get_allowed_globals()):
        module, _, leaf = name.rpartition(".")
        pickle = b"\x80\x02c" + module.encode() + b"\n" + leaf.encode() + b"\n0}."
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle)
            archive.writestr("archive/version", b"3\n")
        try:
            dt2.File(path)
        except dt2.Refused as refusal:
            text = str(refusal)
            if "no tensors" not in text and (name not in text or "run code" in text or "does not know" in text):
                wrong.add("global %s: %s" % (name, text))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    args = parser.parse_args()
    print("torch %s, seed %d" % (torch.__version__, args.seed))
    wrong, counts = dt2.Differences("pickles"), collections.Counter()
    stricter, laxer = collections.Counter(), collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.pth")
        check_globals(wrong, path)
        for index in range(args.files):
            case = Case(random.Random("%d/%d" % (args.seed, index)))
            case.save(path)
            (safe, why), (free, _) = by_torch(path, True), by_torch(path, False)
            try:
                with dt2.File(path) as file:
                    ours = file.tensors()
            except dt2.Refused as refusal:
                ours = None
                if safe or free:
                    stricter[" + ".join(sorted(set(case.w.odd))) or "nothing odd: %s" % refusal] += 1
            what = "file %d (%s)" % (index, ", ".join(case.w.odd))
            counts["read" if ours is not None else "refused"] += 1
            if ours is None:
                if not case.w.odd and (safe or free):
                    wrong.add("%s: refused, though nothing is odd in it" % what)
            elif safe is None and free is None:
                laxer[why] += 1
            else:
                for theirs in (safe, free):
                    if theirs is not None:
                        wrong.compare(what, ours, theirs)
    if os.environ.get("DT2_ORACLE_VERBOSE"):
        for title, table in (("refused by us alone", stricter), ("refused by torch alone", laxer)):
            print("%s: %d" % (title, sum(table.values())))
            for text, count in table.most_common(40):
                print("  %6d %s" % (count, text))
    return wrong.finish("%d files, %d of them read, %d refused, %d by us alone, %d by torch alone" %
                        (args.files, counts["read"], counts["refused"], sum(stricter.values()), sum(laxer.values())))


if __name__ == "__main__":
    sys.exit(main())
