# SPDX-License-Identifier: BSD-3-Clause
"""Files as PyTorch writes them, assembled byte by byte with Python's standard library alone: also broken ones.

As a program it makes a PyTorch file of a safetensors file: torchfile.py IN.safetensors OUT.pth [--legacy]
"""
import json
import struct
import sys
import zlib

CLASSES = {"F16": "HalfStorage", "BF16": "BFloat16Storage", "F32": "FloatStorage", "F64": "DoubleStorage",
           "U8": "ByteStorage", "I8": "CharStorage", "I16": "ShortStorage", "I32": "IntStorage", "I64": "LongStorage",
           "BOOL": "BoolStorage", "C64": "ComplexFloatStorage"}
SIZES = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8, "U8": 1, "I8": 1, "I16": 2, "I32": 4, "I64": 8, "BOOL": 1, "C64": 8}

# -- pickles ------------------------------------------------------------------------------------------------------


def text(string):
    data = string.encode() if isinstance(string, str) else string
    return b"X" + struct.pack("<I", len(data)) + data


def number(n):
    if 0 <= n < 256:
        return b"K" + bytes([n])
    if -2**31 <= n < 2**31:
        return b"J" + struct.pack("<i", n)
    size = (n.bit_length() + 8) // 8
    return b"\x8a" + bytes([size]) + n.to_bytes(size, "little", signed=True)


def name(module, attribute):
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def tuple_of(*values):
    return b"(" + b"".join(values) + b"t"


def numbers(values):
    return tuple_of(*[number(n) for n in values])


ORDERED_DICT = name("collections", "OrderedDict") + b")R"


def storage(key, elements, dtype="F32", extra=b"", cls=None):
    cls = name("torch", CLASSES[dtype]) if cls is None else cls
    return tuple_of(text("storage"), cls, text(key), text("cpu"), number(elements), extra) + b"Q"


def tensor(where, shape, stride=None, offset=0, function="_rebuild_tensor_v2", tail=None):
    """`where` is what storage() gives; strides are contiguous unless told."""
    if stride is None:
        stride, step = [], 1
        for n in reversed(shape):
            stride.insert(0, step)
            step *= n
    tail = b"\x89" + ORDERED_DICT if tail is None else tail
    return (name("torch._utils", function) +
            tuple_of(where, number(offset), numbers(shape), numbers(stride), tail) + b"R")


def dict_of(items, ordered=True):
    """Items are pairs of assembled values; a key may be a plain string."""
    body = b"".join((text(k) if isinstance(k, str) else k) + v for k, v in items)
    return (ORDERED_DICT if ordered else b"}") + b"(" + body + b"u"


def pickle(value, protocol=2):
    return b"\x80" + bytes([protocol]) + value + b"."


# -- zip archives -------------------------------------------------------------------------------------------------

class Entry:
    """One entry; whatever is set here is what the headers say, true or not."""

    def __init__(self, name, data, **lies):
        self.name = name.encode() if isinstance(name, str) else name
        self.data = data
        self.method = lies.get("method", 0)
        self.flags = lies.get("flags", 0x808)
        self.central_name = lies.get("central_name", self.name)
        self.central_size = lies.get("central_size", len(data))
        self.stored_size = lies.get("stored_size", self.central_size)
        self.central_crc = lies.get("central_crc", zlib.crc32(data))
        self.central_extra = lies.get("central_extra", b"")
        self.central_flags = lies.get("central_flags", self.flags)
        self.central_method = lies.get("central_method", self.method)
        self.local_size = lies.get("local_size", 0 if self.flags & 8 else len(data))
        self.local_crc = lies.get("local_crc", 0 if self.flags & 8 else zlib.crc32(data))
        self.local_extra = lies.get("local_extra")
        self.header = lies.get("header")


def archive(entries, zip64=True, count=None, directory_size=None, directory_at=None, comment=b"", tail=b"",
            end64_count=None, locator_at=None):
    """Like PyTorch: data at multiples of 64, descriptors behind them, zip64 records at the end."""
    out = bytearray()
    directory = bytearray()
    for e in entries:
        at = len(out) if e.header is None else e.header
        if e.header is None:
            extra = e.local_extra
            if extra is None:
                pad = -(len(out) + 30 + len(e.name) + 4) % 64
                extra = b"FB" + struct.pack("<H", pad) + b"Z" * pad
            out += struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 0, e.flags, e.method, 0, 0, e.local_crc, e.local_size,
                               e.local_size, len(e.name), len(extra)) + e.name + extra + e.data
            if e.flags & 8:
                out += struct.pack("<4sIII", b"PK\7\10", zlib.crc32(e.data), len(e.data), len(e.data))
        directory += struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 0, 0, e.central_flags, e.central_method, 0, 0,
                                 e.central_crc, e.stored_size, e.central_size, len(e.central_name),
                                 len(e.central_extra), 0, 0, 0, 0, at) + e.central_name + e.central_extra
    begin = len(out) if directory_at is None else directory_at
    size = len(directory) if directory_size is None else directory_size
    count = len(entries) if count is None else count
    out += directory
    if zip64:
        record = len(out)
        entries64 = count if end64_count is None else end64_count
        out += struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 0x31e, 45, 0, 0, entries64, entries64, size, begin)
        out += struct.pack("<4sIQI", b"PK\6\7", 0, record if locator_at is None else locator_at, 1)
    out += struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, min(count, 0xffff), min(count, 0xffff), size, begin, len(comment))
    return bytes(out) + comment + tail


def model(pickled, storages, root="archive", byteorder=b"little", more=(), **lies):
    """A whole PyTorch file of a pickle and the bytes of its storages by key."""
    entries = [Entry(root + "/data.pkl", pickled)]
    if byteorder is not None:
        entries.append(Entry(root + "/byteorder", byteorder))
    entries += [Entry("%s/data/%s" % (root, key), data) for key, data in storages.items()]
    entries.append(Entry(root + "/version", b"3\n"))
    return archive(entries + list(more), **lies)


# -- the legacy layout --------------------------------------------------------------------------------------------

MAGIC = pickle(b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19")
SYSTEM = pickle(dict_of([("protocol_version", number(1001)), ("little_endian", b"\x88")], ordered=False))


def legacy(pickled, storages, keys=None, magic=MAGIC, protocol=pickle(number(1001))):
    """`storages`: by key, pairs of the number of elements and the bytes."""
    listed = pickle(b"](" + b"".join(text(k) for k in storages) + b"e") if keys is None else keys
    data = b"".join(struct.pack("<Q", n) + data for n, data in storages.values())
    return magic + protocol + SYSTEM + pickled + listed + data


# -- what is expected of a reader -----------------------------------------------------------------------------------

def safetensors(tensors):
    """A file of tensors by name: dtype, shape, bytes."""
    header, data = {}, b""
    for key, (dtype, shape, raw) in tensors.items():
        header[key] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    packed = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(packed)) + packed + data


# -- a PyTorch file of a safetensors file -------------------------------------------------------------------------

def copy(source, out, size):
    while size:
        part = source.read(min(size, 1 << 20))
        if not part:
            sys.exit("the file is cut short")
        out.write(part)
        size -= len(part)


def read_header(source):
    (length,) = struct.unpack("<Q", source.read(8))
    header = json.loads(source.read(length))
    header.pop("__metadata__", None)
    begins = {n: 8 + length + t["data_offsets"][0] for n, t in header.items()}
    return header, begins


def pickle_of(header, extra=b""):
    items = []
    for i, (key, t) in enumerate(header.items()):
        elements = 1
        for n in t["shape"]:
            elements *= n
        items.append((key, tensor(storage(str(i), elements, t["dtype"], extra), t["shape"])))
    return pickle(dict_of(items))


def write_zip(source, header, begins, out):
    """As archive() does it, but the bytes are copied; checksums of storages are 0, as PyTorch can be told to."""
    entries = [("model/data.pkl", pickle_of(header), 0), ("model/byteorder", b"little", 0)]
    entries += [("model/data/%d" % i, None, n) for i, n in enumerate(header)]
    entries.append(("model/version", b"3\n", 0))
    directory = bytearray()
    for name, data, key in entries:
        name = name.encode()
        size = len(data) if data is not None else header[key]["data_offsets"][1] - header[key]["data_offsets"][0]
        crc = zlib.crc32(data) if data is not None else 0
        at = out.tell()
        pad = -(at + 30 + len(name) + 4) % 64
        out.write(struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 0, 0x808, 0, 0, 0, 0, 0, 0, len(name), pad + 4) + name +
                  b"FB" + struct.pack("<H", pad) + b"Z" * pad)
        if data is not None:
            out.write(data)
        else:
            source.seek(begins[key])
            copy(source, out, size)
        extra = struct.pack("<HHQ", 1, 8, at) if at >= 0xffffffff else b""
        directory += struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 0, 0, 0x808, 0, 0, 0, crc, size, size, len(name),
                                 len(extra), 0, 0, 0, 0, min(at, 0xffffffff)) + name + extra
    begin = out.tell()
    out.write(directory)
    record = out.tell()
    out.write(struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 0x31e, 45, 0, 0, len(entries), len(entries), len(directory),
                          begin))
    out.write(struct.pack("<4sIQI", b"PK\6\7", 0, record, 1))
    out.write(struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, min(len(entries), 0xffff), min(len(entries), 0xffff),
                          len(directory), min(begin, 0xffffffff), 0))


def write_legacy(source, header, begins, out):
    keys = [str(i) for i in range(len(header))]
    out.write(legacy(pickle_of(header, b"N"), {}, pickle(b"](" + b"".join(map(text, keys)) + b"e")))
    for name, t in header.items():
        size = t["data_offsets"][1] - t["data_offsets"][0]
        out.write(struct.pack("<Q", size // SIZES[t["dtype"]]))
        source.seek(begins[name])
        copy(source, out, size)


def main():
    paths = [a for a in sys.argv[1:] if a != "--legacy"]
    if len(paths) != 2:
        sys.exit("usage: torchfile.py IN.safetensors OUT.pth [--legacy]")
    with open(paths[0], "rb") as source, open(paths[1], "wb") as out:
        header, begins = read_header(source)
        (write_legacy if "--legacy" in sys.argv else write_zip)(source, header, begins, out)


if __name__ == "__main__":
    main()
