# SPDX-License-Identifier: BSD-3-Clause
"""The library's tables of tensors, through ctypes: what the oracles compare with the real libraries.

DT2_LIBRARY is the path of libdistorch2.so.
"""
import ctypes as c
import os


class Tensor(c.Structure):
    _fields_ = [("name", c.c_char_p), ("dtype", c.c_char_p), ("shape", c.POINTER(c.c_uint64)), ("rank", c.c_size_t),
                ("bytes", c.c_uint64), ("file", c.c_char_p), ("offset", c.c_uint64)]


class Block(c.Structure):
    _fields_ = [("name", c.c_char_p), ("bytes", c.c_uint64), ("tensor_bytes", c.POINTER(c.c_uint64)),
                ("tensors", c.POINTER(c.c_size_t)), ("tensor_count", c.c_size_t),
                ("tensor_names", c.POINTER(c.c_char_p))]


class Traits(c.Structure):
    _fields_ = [("needs_base", c.c_bool), ("differences", c.c_bool), ("inpaint", c.c_bool),
                ("hint_channels", c.c_uint64), ("union_types", c.c_uint64)]


class Error(c.Structure):
    _fields_ = [("code", c.c_int), ("text", c.c_char * 2048), ("suggestion", c.c_char * 1024)]


class Storing(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("dtype", c.c_char_p), ("dtype_of", c.c_void_p), ("dtype_data", c.c_void_p),
                ("gangs", c.c_void_p), ("gang_count", c.c_size_t)]


def declare(library):
    pointer, size = c.c_void_p, c.c_size_t
    for name, result, *arguments in (
            ("file_open", c.c_int, c.c_char_p, c.POINTER(pointer), c.POINTER(Error)),
            ("file_free", None, pointer),
            ("file_stored", c.c_int, pointer, c.POINTER(Storing), c.POINTER(pointer), c.POINTER(Error)),
            ("file_format", c.c_char_p, pointer),
            ("file_tensor_count", size, pointer),
            ("file_tensor", c.POINTER(Tensor), pointer, size),
            ("file_metadata_count", size, pointer),
            ("file_metadata", None, pointer, size, c.POINTER(c.c_char_p), c.POINTER(c.c_char_p)),
            ("file_read", c.c_int, pointer, size, c.c_char_p, c.c_uint64, c.POINTER(Error)),
            ("blocks_make", c.c_int, pointer, c.POINTER(pointer), c.POINTER(Error)),
            ("blocks_free", None, pointer),
            ("blocks_count", size, pointer),
            ("blocks_array", c.POINTER(Block), pointer),
            ("blocks_family", c.c_char_p, pointer),
            ("blocks_variant", c.c_char_p, pointer),
            ("blocks_traits", c.POINTER(Traits), pointer)):
        function = getattr(library, "dt2_" + name)
        function.restype, function.argtypes = result, arguments
    return library


lib = declare(c.CDLL(os.environ["DT2_LIBRARY"]))


class Refused(Exception):
    """The text of the library's error."""


def check(rc, error):
    if rc < 0:
        raise Refused(error.text.decode())


class File:
    """An open model; use it in a `with`."""

    def __init__(self, path):
        self.handle, error = c.c_void_p(), Error()
        if path is not None:
            check(lib.dt2_file_open(os.fsencode(path), c.byref(self.handle), c.byref(error)), error)

    def stored(self, dtype):
        """The same file as it is stored in that dtype."""
        stored, error = File(None), Error()
        how = Storing(struct_size=c.sizeof(Storing), dtype=dtype.encode())
        check(lib.dt2_file_stored(self.handle, c.byref(how), c.byref(stored.handle), c.byref(error)), error)
        return stored

    def __enter__(self):
        return self

    def __exit__(self, *_):
        lib.dt2_file_free(self.handle)

    def format(self):
        return lib.dt2_file_format(self.handle).decode()

    def read(self, index, size):
        data, error = c.create_string_buffer(size), Error()
        check(lib.dt2_file_read(self.handle, index, data, size, c.byref(error)), error)
        return data.raw

    def tensors(self):
        """By name: dtype, shape, bytes."""
        found = {}
        for i in range(lib.dt2_file_tensor_count(self.handle)):
            tensor = lib.dt2_file_tensor(self.handle, i).contents
            found[tensor.name.decode()] = (tensor.dtype.decode(), tensor.shape[:tensor.rank],
                                           self.read(i, tensor.bytes))
        return found

    def offsets(self):
        """By name: where the bytes begin."""
        every = [lib.dt2_file_tensor(self.handle, i).contents for i in range(lib.dt2_file_tensor_count(self.handle))]
        return {tensor.name.decode(): tensor.offset for tensor in every}

    def metadata(self):
        key, value, found = c.c_char_p(), c.c_char_p(), {}
        for i in range(lib.dt2_file_metadata_count(self.handle)):
            lib.dt2_file_metadata(self.handle, i, c.byref(key), c.byref(value))
            found[key.value.decode()] = value.value.decode()
        return found

    def network(self):
        """The family, the variant, the traits, and the names of the blocks in their order."""
        blocks, error = c.c_void_p(), Error()
        check(lib.dt2_blocks_make(self.handle, c.byref(blocks), c.byref(error)), error)
        array, traits = lib.dt2_blocks_array(blocks), lib.dt2_blocks_traits(blocks).contents
        names = [array[i].name.decode() for i in range(lib.dt2_blocks_count(blocks))]
        family, variant = (text and text.decode() for text in
                           (lib.dt2_blocks_family(blocks), lib.dt2_blocks_variant(blocks)))
        traits = {name: getattr(traits, name) for name, _ in Traits._fields_}
        lib.dt2_blocks_free(blocks)
        return family, variant, traits, names


class Differences:
    """Collects what differs; says the first few, and counts."""

    def __init__(self, library):
        self.library, self.count = library, 0

    def add(self, text):
        self.count += 1
        if self.count <= 20:
            print("%s: %s" % (self.library, text))

    def compare(self, what, found, wanted):
        """Two tables of tensors, by name: dtype, shape, bytes."""
        if set(found) != set(wanted):
            self.add("%s: names %.300s; the library has %.300s" % (what, sorted(found), sorted(wanted)))
        for name in set(found) & set(wanted):
            for part, a, b in zip(("dtype", "shape", "bytes"), found[name], wanted[name]):
                if a != b:
                    self.add("%s: %s of %s is %.80r; the library has %.80r" % (what, part, name, a, b))

    def finish(self, cases):
        """The last line, and the exit status."""
        print("%s: %s, %s" % (self.library, cases, "%d differences" % self.count if self.count else "no difference"))
        return 1 if self.count else 0
