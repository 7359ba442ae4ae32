#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the files of hostile/gguf, and gguf.tsv: for each of them words of the reason for which it is refused."""
import os
import struct

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gguf")
U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
Q8_0, Q4_K = 8, 12


def string(text, length=None):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data) if length is None else length) + data


def pair(key, kind, value):
    return string(key) + struct.pack("<I", kind) + value


def u32(value):
    return struct.pack("<I", value)


def u64(value):
    return struct.pack("<Q", value)


def array(kind, count, elements=b""):
    return struct.pack("<IQ", kind, count) + elements


def tensor(name, dims, kind=0, offset=0, rank=None):
    """An entry of the table; dims are innermost first, as in the file."""
    return (string(name) + u32(len(dims) if rank is None else rank) + b"".join(u64(d) for d in dims) + u32(kind)
            + u64(offset))


def file(pairs=(), tensors=(), data=b"", pair_count=None, tensor_count=None, version=3, alignment=32, magic=b"GGUF"):
    head = magic + u32(version)
    head += u64(len(tensors) if tensor_count is None else tensor_count)
    head += u64(len(pairs) if pair_count is None else pair_count)
    head += b"".join(pairs) + b"".join(tensors)
    return head + b"\0" * (-len(head) % alignment) + data


def nested(depth):
    """Arrays in arrays, one each, with a byte at the bottom."""
    return b"".join(array(ARRAY, 1) for _ in range(depth - 1)) + array(U8, 1, b"\7")


A = tensor("a", [8])
DATA = b"\1" * 32
BIG_ENDIAN = b"GGUF" + struct.pack(">IQQ", 3, 0, 0)
UNSIGNED_MAX = 2**64 - 1

CASES = {
    # the header
    "only_magic": (b"GGUF", "cut short"),
    "no_counts": (b"GGUF" + u32(3), "cut short"),
    "version_0": (file(version=0), "version 0;"),
    "version_1": (file(version=1), "version 1;"),
    "version_4": (file(version=4), "version 4;"),
    "big_endian": (BIG_ENDIAN, "big-endian"),
    "tensors_2_63": (file(tensor_count=2**63), "9223372036854775808 tensors"),
    "tensors_max": (file(tensor_count=UNSIGNED_MAX), "18446744073709551615 tensors"),
    "tensors_few_missing": (file(tensors=[A], data=DATA, tensor_count=5), "tensors are to follow"),
    "tensors_one_missing": (file(tensors=[A], data=DATA, tensor_count=2), "tensor"),
    "pairs_2_63": (file(pair_count=2**63), "9223372036854775808 keys"),
    "pairs_one_missing": (file(pairs=[pair("a", U8, b"\1")], pair_count=2), "key"),
    # keys and values
    "key_longer_than_file": (file(pairs=[string("abc", length=1 << 40) + u32(U8) + b"\1"]), "key number 0"),
    "key_length_max": (file(pairs=[string("abc", length=UNSIGNED_MAX) + u32(U8) + b"\1"]), "only"),
    "key_empty": (file(pairs=[pair("", U8, b"\1")]), "must not be empty"),
    "key_nul": (file(pairs=[pair("a\0b", U8, b"\1")]), "NUL"),
    "key_no_utf8": (file(pairs=[pair(b"\xff\xfe", U8, b"\1")]), "UTF-8"),
    "key_twice": (file(pairs=[pair("a", U8, b"\1"), pair("b", U8, b"\1"), pair("a", U8, b"\1")]), "'a': the key is there twice"),
    "value_type_13": (file(pairs=[pair("a", 13, b"\1" * 16)]), "type 13"),
    "value_type_max": (file(pairs=[pair("a", 2**32 - 1, b"\1" * 16)]), "type 4294967295"),
    "string_longer_than_file": (file(pairs=[pair("a", STRING, string("abc", length=100))]), "100 bytes are to follow"),
    "string_length_max": (file(pairs=[pair("a", STRING, string("abc", length=UNSIGNED_MAX))]), "only"),
    "array_longer_than_file": (file(pairs=[pair("a", ARRAY, array(U32, 1000))]), "1000 elements"),
    "array_count_wraps": (file(pairs=[pair("a", ARRAY, array(U64, 2**61 + 1, u64(1)))]), "2305843009213693953 elements"),
    "array_of_strings_too_many": (file(pairs=[pair("a", ARRAY, array(STRING, 2**62))]), "elements"),
    "array_string_longer_than_file": (
        file(pairs=[pair("a", ARRAY, array(STRING, 2, string("x") + string("y", length=2**50)))]), "only"),
    "array_type_14": (file(pairs=[pair("a", ARRAY, array(14, 1, b"\1" * 8))]), "type 14"),
    "arrays_deep": (file(pairs=[pair("a", ARRAY, nested(9))]), "nested"),
    "arrays_very_deep": (file(pairs=[pair("a", ARRAY, nested(2000))]), "nested"),
    "arrays_deep_not_shown": (
        file(pairs=[pair("a", ARRAY, array(ARRAY, 40, b"".join(array(U8, 1, b"\1") for _ in range(39)) + nested(12)))]),
        "nested"),
    "arrays_wide": (file(pairs=[pair("a", ARRAY, array(ARRAY, 2**60, array(ARRAY, 2**60)))]), "elements"),
    # the alignment
    "alignment_0": (file(pairs=[pair("general.alignment", U32, u32(0))], tensors=[A], data=DATA), "power of two"),
    "alignment_48": (file(pairs=[pair("general.alignment", U32, u32(48))], tensors=[A], data=DATA), "power of two"),
    "alignment_u64": (file(pairs=[pair("general.alignment", U64, u64(32))], tensors=[A], data=DATA), "type 10"),
    "alignment_string": (file(pairs=[pair("general.alignment", STRING, string("32"))], tensors=[A], data=DATA), "type 8"),
    "alignment_beyond_file": (
        file(pairs=[pair("general.alignment", U32, u32(2**31))], tensors=[A], data=DATA), "cut short"),
    "alignment_twice": (
        file(pairs=[pair("general.alignment", U32, u32(32))] * 2, tensors=[A], data=DATA), "twice"),
    # tensors
    "name_longer_than_file": (file(tensors=[string("abc", length=1 << 40) + b"\0" * 40]), "tensor number 0"),
    "name_nul": (file(tensors=[tensor("a\0b", [8])], data=DATA), "NUL"),
    "name_no_utf8": (file(tensors=[tensor(b"a\xc0\x80", [8])], data=DATA), "UTF-8"),
    "name_twice": (file(tensors=[A, tensor("a", [8], offset=32)], data=DATA * 2), "'a' is there twice"),
    "rank_5": (file(tensors=[tensor("a", [1] * 5)], data=DATA), "5 dimensions"),
    "rank_max": (file(tensors=[tensor("a", [8], rank=2**32 - 1)], data=DATA), "4294967295 dimensions"),
    "dimension_2_63": (file(tensors=[tensor("a", [2**63])], data=DATA), "2^63 elements"),
    "dimension_negative": (file(tensors=[tensor("a", [UNSIGNED_MAX])], data=DATA), "2^63 elements"),
    "dimensions_wrap_to_0": (file(tensors=[tensor("a", [2**32, 2**32])], data=DATA), "2^63 elements"),
    "dimensions_wrap_to_8": (file(tensors=[tensor("a", [2**62 + 2, 4])], data=DATA), "2^63 elements"),
    "dimensions_wrap_by_four": (file(tensors=[tensor("a", [2**16, 2**16, 2**16, 2**16])], data=DATA), "2^63 elements"),
    "dimensions_wrap_before_0": (file(tensors=[tensor("a", [2**40, 2**40, 0])], data=DATA), "2^63 elements"),
    "bytes_wrap": (file(tensors=[tensor("a", [2**62 + 8], kind=28)], data=DATA), "2^64 bytes"),
    "type_removed": (file(tensors=[tensor("a", [32], kind=4)], data=DATA), "type Q4_2 (4) was removed"),
    "type_removed_later": (file(tensors=[tensor("a", [32], kind=31)], data=DATA), "type Q4_0_4_4 (31) was removed"),
    "type_unknown": (file(tensors=[tensor("a", [32], kind=43)], data=DATA), "number 43"),
    "type_negative": (file(tensors=[tensor("a", [32], kind=2**32 - 1)], data=DATA), "number 4294967295"),
    "row_no_blocks": (file(tensors=[tensor("a", [33], kind=Q8_0)], data=DATA * 3), "rows of 33 elements"),
    "row_no_blocks_whole_does": (file(tensors=[tensor("a", [16, 2], kind=Q8_0)], data=DATA * 3), "rows of 16 elements"),
    "row_no_large_blocks": (file(tensors=[tensor("a", [32], kind=Q4_K)], data=DATA * 9), "multiple of 256"),
    "scalar_of_blocks": (file(tensors=[tensor("a", [], kind=Q8_0)], data=DATA * 3), "rows of 1 elements"),
    # places
    "offset_first": (file(tensors=[tensor("a", [8], offset=32)], data=DATA * 2), "its offset is 32"),
    "offset_max": (file(tensors=[tensor("a", [8], offset=UNSIGNED_MAX)], data=DATA), "its offset is 18446744073709551615"),
    "offset_overlaps": (file(tensors=[A, tensor("b", [8], offset=0)], data=DATA * 2), "its offset is 0"),
    "offset_hole": (file(tensors=[A, tensor("b", [8], offset=64)], data=DATA * 4), "its offset is 64"),
    "offset_not_padded": (
        file(tensors=[tensor("a", [7]), tensor("b", [8], offset=28)], data=DATA * 3), "end at 32"),
    "order_reversed": (file(tensors=[tensor("b", [8], offset=32), A], data=DATA * 2), "its offset is 32"),
    "data_missing": (file(tensors=[A]), "cut short"),
    "data_short": (file(tensors=[tensor("a", [9])], data=DATA), "cut short"),
    "data_huge": (file(tensors=[tensor("a", [2**61])], data=DATA), "cut short"),
    "data_sums_beyond": (
        file(tensors=[tensor("a", [2**61 - 1]), tensor("b", [8], offset=2**63)], data=DATA), "cut short"),
}


def main():
    os.makedirs(FOLDER, exist_ok=True)
    with open(FOLDER + ".tsv", "w", encoding="utf-8") as verdicts:
        for name, (content, reason) in CASES.items():
            with open(os.path.join(FOLDER, name + ".gguf"), "wb") as out:
                out.write(content)
            verdicts.write(f"{name}.gguf\t{reason}\n")


main()
