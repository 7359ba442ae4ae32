#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Random headers of safetensors, valid and mutated: verdict, rule and table must be those of the reference.

usage: safetensors-oracle.py [--cases N] [--seed N]

What the reference accepts, we refuse for DuplicateName (of tensors and of metadata), NulInName, RankTooLarge, when
a tensor is an array of its fields, and for a dimension of 2^63 and more (of a tensor without elements: ValidationOverflow):
believed only where the header has such a thing. Of what both refuse, the rules are
compared too, except where we are stricter first, where we see no safetensors at all, or where several tensors lie at
one place: the reference then takes them in the order of a hash table, which is another in every run.
"""
import argparse
import collections
import json
import os
import random
import re
import struct
import sys

import safetensors

import dt2

SIZES = {  # bits
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}
RULES = (
    ("header too small", "HeaderTooSmall"), ("header too large", "HeaderTooLarge"),
    ("invalid header length", "InvalidHeaderLength"), ("invalid UTF-8 in header", "InvalidHeader"),
    ("invalid JSON in header", "InvalidHeaderDeserialization"), ("invalid offset for tensor", "InvalidOffset"),
    ("overflow computing", "ValidationOverflow"), ("slice is slicing for subbytes", "MisalignedSlice"),
    ("invalid shape, data type", "TensorInvalidInfo"), ("incomplete metadata", "MetadataIncompleteBuffer"),
)
NUMBERS = ["-1", "-0", "00", "01", "1.0", "1e0", "1E400", "1.", ".5", "+1", "0x1", "18446744073709551615",
           "18446744073709551616", "9223372036854775808", "4294967296", "99999999999999999999999", "null", "true",
           '"1"', "[1]", "{}", "NaN", "Infinity", "", "1e308", "-1.8e308",
           "1.7976931348623157e308", "0.0001e312", "0.0001e313", "0e999", "1e-999", "1" + "0" * 308, "1" + "0" * 309]
TEXTS = ['"', "\\", "\\u0000", "\\ud800", "\\udc00", "\\ud83d\\ude00", "\\u00e9", "\\n", "\\x", "\\/", "\n", "\t",
         "\0", "\x7f", "{", "}", "[", "]", ",", ":", " ", "\ufeff", "é", "e", "0", "__metadata__", "dtype",
         "\U0001f600"]


# -- valid headers ----------------------------------------------------------------------------------------------------

def space(rng):
    return rng.choice(["", "", "", "", " ", "\n", "\t", "\r", "  "])


def string(rng, text):
    """A string of JSON, its characters escaped in one of the ways that there are."""
    if rng.random() < 0.8:
        return json.dumps(text, ensure_ascii=rng.random() < 0.5)
    return '"' + "".join("\\u%04x" % ord(ch) if ord(ch) < 0xd800 and rng.random() < 0.3 else json.dumps(ch)[1:-1]
                         for ch in text) + '"'


def write(rng, value):
    """JSON with white space and escapes at random. An object is a list of pairs in a tuple."""
    def spaced(text):
        return space(rng) + text + space(rng)
    if isinstance(value, tuple):
        return "{" + space(rng) + ",".join(spaced(string(rng, key)) + ":" + spaced(write(rng, item))
                                           for key, item in value[0]) + "}"
    if isinstance(value, list):
        return "[" + space(rng) + ",".join(spaced(write(rng, item)) for item in value) + "]"
    return string(rng, value) if isinstance(value, str) else json.dumps(value)


def anything(rng, depth=0):
    kind = rng.randrange(8)
    if kind == 0 and depth < 4:
        return [anything(rng, depth + 1) for _ in range(rng.randrange(3))]
    if kind == 1 and depth < 4:
        return ([("k%d" % i, anything(rng, depth + 1)) for i in range(rng.randrange(3))],)
    return rng.choice([0, -1, 2.5, 1e300, True, None, "text", 1 << 70, [], ([],), "\x01"])


def valid(rng):
    """A good file: its header as a value that write() takes, and the number of bytes of its data."""
    tensors, at = [], 0
    for i in range(rng.choice([0, 1, 1, 2, 3, 5, 8])):
        dtype = rng.choice(list(SIZES))
        shape = [rng.choice([0, 1, 1, 2, 3, 4, 8]) for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 5]))]
        bits = SIZES[dtype]
        for n in shape:
            bits *= n
        if bits % 8:
            shape.append(8)
            bits *= 8
        name = rng.choice(["t%d", "block.%d.weight", "%d", "é%d", "a \"%d\"\\", "\U0001f600%d", "\x01%d"]) % i
        fields = [("dtype", dtype), ("shape", shape), ("data_offsets", [at, at + bits // 8])]
        if rng.random() < 0.1:
            fields.append(("more", anything(rng)))
        rng.shuffle(fields)
        tensors.append((name, (fields,)))
        at += bits // 8
    rng.shuffle(tensors)
    if rng.random() < 0.3:
        pairs = [("k%d" % i, rng.choice(["", "v", "é\n", "{}"])) for i in range(rng.randrange(4))]
        tensors.insert(rng.randrange(len(tensors) + 1), ("__metadata__", rng.choice([(pairs,), (pairs,), None])))
    return (tensors,), at


# -- mutations --------------------------------------------------------------------------------------------------------

def numbers_of(text):
    return list(re.finditer(r"-?\d+", text))


def change_number(rng, text):
    found = numbers_of(text)
    if not found:
        return text
    match = rng.choice(found)
    old = int(match.group())
    new = rng.choice([str(old + 1), str(max(old - 1, 0)), str(old * 2), str(old + 8), "0", rng.choice(NUMBERS)])
    return text[:match.start()] + new + text[match.end():]


def swap_numbers(rng, text):
    found = numbers_of(text)
    if len(found) < 2:
        return text
    a, b = sorted(rng.sample(range(len(found)), 2))
    a, b = found[a], found[b]
    return text[:a.start()] + b.group() + text[a.end():b.start()] + a.group() + text[b.end():]


def change_dtype(rng, text):
    found = list(re.finditer("|".join('"%s"' % dtype for dtype in SIZES), text))
    if not found:
        return text
    match = rng.choice(found)
    new = rng.choice(list(SIZES) + ["Q4", "f32", "F32 ", ""])
    return text[:match.start()] + '"%s"' % new + text[match.end():]


def insert_text(rng, text):
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(TEXTS) + text[at:]


def delete_text(rng, text):
    at = rng.randrange(len(text))
    return text[:at] + text[at + rng.choice([1, 1, 1, 2, 5, 20]):]


def copy_text(rng, text):
    """Part of the text once more: members twice, fields twice, half a member."""
    marks = [i for i, ch in enumerate(text) if ch in '{},"[]:'] or [0]
    begin, end = sorted(rng.choice(marks) for _ in range(2))
    at = rng.choice(marks)
    return text[:at] + text[begin:end + rng.randrange(2)] + text[at:]


def repeat_member(rng, text):
    """A whole member of the outermost object again: a name twice."""
    found = list(re.finditer(r'"[^"{}]*"\s*:\s*\{[^{}]*\}', text))
    if not found:
        return text
    return text[:1] + rng.choice(found).group() + "," + text[1:]


def fields_as_array(rng, text):
    found = list(re.finditer(r'\{"dtype": "(\w+)", "shape": (\[[^]]*\]), "data_offsets": (\[[^]]*\])\}', text))
    if not found:
        return text
    match = rng.choice(found)
    return text[:match.start()] + '["%s",%s,%s]' % match.groups() + text[match.end():]


def nest(rng, text):
    depth = rng.choice([3, 100, 124, 125, 126, 127, 128, 129, 200])
    value = rng.choice(["[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth])
    found = list(re.finditer(r'"dtype"', text))
    if not found:
        return text
    at = rng.choice(found).start()
    return text[:at] + '"deep":' + value + "," + text[at:]


def lengthen_shape(rng, text):
    found = list(re.finditer(r'"shape": \[', text))
    if not found:
        return text
    at = rng.choice(found).end()
    return text[:at] + rng.choice([1, 5, 60, 64, 65, 300]) * rng.choice(["1,", "1,", "2,"]) + text[at:]


MUTATIONS = [change_number] * 4 + [change_dtype] * 2 + [insert_text] * 3 + [delete_text] * 3 + [
    swap_numbers, copy_text, copy_text, repeat_member, fields_as_array, nest, lengthen_shape]


def mutated(rng, header, size):
    """The bytes of a file of this header and so many bytes of data, in part wrong."""
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        if header:
            header = rng.choice(MUTATIONS)(rng, header)
    raw = bytearray(header.encode("utf-8", "surrogatepass"))
    if rng.random() < 0.1 and raw:
        for _ in range(rng.randint(1, 3)):
            raw[rng.randrange(len(raw))] = rng.choice([0, 0x80, 0xc0, 0xff, rng.randrange(256)])
    if rng.random() < 0.1:
        raw += rng.choice([b" ", b"   ", b"\n", b"\0", b"x", b"{}", b"\xff"])
    length = len(raw)
    if rng.random() < 0.05:
        length = rng.choice([0, 1, length - 1, length + 1, length + size, length + size + 1, 100000000, 100000001,
                             1 << 63, (1 << 64) - 1]) % (1 << 64)
    data = rng.randbytes(max(0, size + (rng.choice([-1, 1, 8]) if rng.random() < 0.05 else 0)))
    whole = struct.pack("<Q", length) + bytes(raw) + data
    return whole[:rng.randrange(len(whole) + 1)] if rng.random() < 0.03 else whole


def case(seed, index):
    rng = random.Random("%d/%d" % (seed, index))
    header, size = valid(rng)
    if rng.random() < 0.25:
        raw = write(rng, header).encode()
        return struct.pack("<Q", len(raw)) + raw + rng.randbytes(size)
    text = write(rng, header) if rng.random() < 0.3 else json.dumps(plain(header))
    return mutated(rng, text, size)


def plain(value):
    if isinstance(value, tuple):
        return {key: plain(item) for key, item in value[0]}
    return [plain(item) for item in value] if isinstance(value, list) else value


# -- verdicts ---------------------------------------------------------------------------------------------------------

class Place:
    """A file that holds one case after the other."""

    def __init__(self):
        self.fd = os.memfd_create("case")
        self.path = "/proc/self/fd/%d" % self.fd

    def put(self, data):
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, data, 0)
        return self.path


def ours(path):
    try:
        with dt2.File(path) as file:
            return file.tensors(), file.metadata(), None
    except dt2.Refused as refusal:
        rule = re.search(r": (\w+): ", str(refusal))
        return None, None, rule.group(1) if rule else "no safetensors"


def reference(path, data):
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
        tensors = {name: (t["dtype"], t["shape"], bytes(t["data"])) for name, t in safetensors.deserialize(data)}
        return tensors, metadata, None
    except safetensors.SafetensorError as error:
        text = str(error)
        return None, None, next((rule for words, rule in RULES if words in text), text)


def shown(text):
    """C ends a string at a NUL: we have another character for it."""
    return text.replace("\0", "\ufffd")


def header_of(data):
    return data[8:8 + struct.unpack("<Q", data[:8])[0]]


STRICTER = ("DuplicateName", "NulInName", "RankTooLarge")
PLACES = ("InvalidOffset", "ValidationOverflow", "MisalignedSlice", "TensorInvalidInfo")


class Facts:
    """What a header has that we refuse and the reference does not."""

    def __init__(self, data):
        self.twice = self.nul = self.array = self.shared = False
        self.rank = self.dimension = 0
        try:
            top = json.loads(header_of(data).decode(), object_pairs_hook=self.look)
        except (ValueError, RecursionError, struct.error):
            return
        if isinstance(top, dict):
            places = [str(t["data_offsets"]) for t in top.values() if isinstance(t, dict) and "data_offsets" in t]
            self.shared = len(set(places)) < len(places)

    def look(self, items):
        keys = [key for key, _ in items]
        self.twice |= len(set(keys)) < len(keys)
        self.nul |= any("\0" in text for pair in items for text in pair if isinstance(text, str))
        self.array |= any(isinstance(v, list) and len(v) == 3 and isinstance(v[0], str) for _, v in items)
        for shape in (v for k, v in items if k == "shape" and isinstance(v, list)):
            self.rank = max(self.rank, len(shape))
            self.dimension = max([self.dimension] + [n for n in shape if isinstance(n, int)])
        return dict(items)

    def explain(self, rule):
        """Whether the header has what the rule is about."""
        return {"DuplicateName": self.twice, "NulInName": self.nul, "RankTooLarge": self.rank > 64,
                "InvalidHeaderDeserialization": self.array, "ValidationOverflow": self.dimension >= 1 << 63}.get(rule, False)


def agree(rule, their_rule, data):
    """None when the rules are the same, else why they may differ, else False."""
    if rule == their_rule:
        return None
    if not their_rule:
        return "stricter" if Facts(data).explain(rule) else False
    facts = Facts(data)
    either = rule in PLACES and their_rule in PLACES and facts.shared
    first = rule in STRICTER or rule == "no safetensors" or facts.explain(rule)
    return "another rule first" if either or first else False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=120000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    args = parser.parse_args()
    print("safetensors %s, seed %d" % (safetensors.__version__, args.seed))
    wrong, place, counts = dt2.Differences("safetensors"), Place(), collections.Counter()
    for index in range(args.cases):
        data = case(args.seed, index)
        path = place.put(data)
        tensors, metadata, rule = ours(path)
        theirs, their_metadata, their_rule = reference(path, data)
        what = "case %d, %.300r" % (index, data)
        counts[rule or "accepted"] += 1
        reason = agree(rule, their_rule, data)
        if reason is False:
            wrong.add("%s: %s; the reference says %s" % (what, rule or "accepted", their_rule or "accepted"))
        elif reason:
            counts[reason] += 1
        elif not rule:
            wrong.compare(what, tensors, theirs)
            their_metadata = {shown(key): shown(value) for key, value in their_metadata.items()}
            if metadata != their_metadata:
                wrong.add("%s: metadata %r; the reference has %r" % (what, metadata, their_metadata))
    stricter, other = counts.pop("stricter", 0), counts.pop("another rule first", 0)
    print("  " + ", ".join("%s %d" % pair for pair in sorted(counts.items())))
    print("  %d refused by a stricter rule alone, %d by another rule than the reference's" % (stricter, other))
    return wrong.finish("%d headers" % args.cases)


if __name__ == "__main__":
    sys.exit(main())
