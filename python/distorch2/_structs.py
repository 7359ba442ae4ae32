# SPDX-License-Identifier: BSD-3-Clause
"""The structures and callbacks of libdistorch2's public headers as ctypes declarations, under their C names without ``dt2_``."""

from __future__ import annotations

import ctypes
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_bool,
    c_char,
    c_char_p,
    c_double,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint,
    c_uint64,
    c_void_p,
    py_object,
)

UNKNOWN = 2**64 - 1  # DT2_UNKNOWN
SIZE_MAX = 2 ** (8 * ctypes.sizeof(c_size_t)) - 1


class error(Structure):
    _fields_ = [("code", c_int), ("text", c_char * 2048), ("suggestion", c_char * 1024)]


class _Result(Structure):
    """A structure that C fills: struct_size says what there is room for."""

    def __init__(self, *values: object, **members: object) -> None:
        super().__init__(ctypes.sizeof(self), *values, **members)


log_fn = CFUNCTYPE(None, c_void_p, c_int, c_char_p)


class native_context(Structure):
    _fields_ = [("device", c_char_p), ("context", c_void_p)]


class context_options(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("log", log_fn),
        ("log_data", c_void_p),
        ("backend_path", c_char_p),
        ("cuda_runtime", c_char_p),
        ("hip_runtime", c_char_p),
        ("drivers", c_char_p),
        ("probe_isolated", c_bool),
        ("native_contexts", POINTER(native_context)),
        ("native_context_count", c_size_t),
    ]


class link(Structure):
    _fields_ = [
        ("to", c_char_p),
        ("nominal_gbps", c_double),
        ("measured_gbps", c_double),
        ("peer", c_char_p),
        ("pcie_generation", c_uint),
        ("pcie_lanes", c_uint),
        ("read_gbps", c_double),
        ("delay_us", c_double),
        ("shared", c_char_p),
        ("fresh_gbps", c_double),
    ]


class device(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("aliases", POINTER(c_char_p)),
        ("alias_count", c_size_t),
        ("driver", c_char_p),
        ("kind", c_char_p),
        ("vendor", c_char_p),
        ("model", c_char_p),
        ("pci", c_char_p),
        ("uuid", c_char_p),
        ("numa_node", c_int),
        ("total_bytes", c_uint64),
        ("free_bytes", c_uint64),
        ("alignment_bytes", c_uint64),
        ("max_alloc_bytes", c_uint64),
        ("fixed_bytes", c_uint64),
        ("budgets", POINTER(c_char_p)),
        ("budget_count", c_size_t),
        ("links", POINTER(POINTER(link))),
        ("link_count", c_size_t),
        ("runtime", c_char_p),
        ("open_ms", c_double),
        ("start_ms", c_double),
        ("package", c_int),
    ]


class speeds(Structure):
    _fields_ = [
        ("memory_gbps", c_double),
        ("fresh_gbps", c_double),
        ("touched_gbps", c_double),
        ("cold_gbps", c_double),
        ("measured_at", c_int64),
        ("start_ms", c_double),
    ]


class budget(Structure):
    _fields_ = [("name", c_char_p), ("total_bytes", c_uint64), ("free_bytes", c_uint64)]


class unusable(Structure):
    _fields_ = [("pci", c_char_p), ("model", c_char_p), ("reason", c_char_p), ("help", c_char_p)]


scan_fn = CFUNCTYPE(c_int, c_void_p, c_size_t, c_size_t)


class catalog_options(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("comfyui", c_char_p),
        ("extra_model_paths", POINTER(c_char_p)),
        ("extra_model_path_count", c_size_t),
        ("category", c_char_p),
        ("progress", scan_fn),
        ("progress_data", c_void_p),
    ]


class catalog_entry(Structure):
    _fields_ = [("name", c_char_p), ("path", c_char_p), ("folder", c_char_p)]


class native_device(_Result):
    _fields_ = [
        ("struct_size", c_size_t),
        ("driver", c_char_p),
        ("id", c_void_p),
        ("context", c_void_p),
        ("ordinal", c_int),
    ]


class catalog_changes(_Result):
    _fields_ = [("struct_size", c_size_t), ("added", c_size_t), ("removed", c_size_t)]


class tensor(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("dtype", c_char_p),
        ("shape", POINTER(c_uint64)),
        ("rank", c_size_t),
        ("bytes", c_uint64),
        ("file", c_char_p),
        ("offset", c_uint64),
    ]


dtype_fn = CFUNCTYPE(c_void_p, c_void_p, POINTER(tensor))  # text that outlives the call: ctypes keeps none that it makes


class gang(Structure):
    _fields_ = [("name", c_char_p), ("tensors", POINTER(c_size_t)), ("count", c_size_t)]


open_fn = CFUNCTYPE(c_int, c_void_p, c_char_p, POINTER(error))


class file_options(Structure):
    _fields_ = [("struct_size", c_size_t), ("key", c_char_p), ("open", open_fn), ("open_data", c_void_p)]


class storing(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("dtype", c_char_p),
        ("dtype_of", dtype_fn),
        ("dtype_data", c_void_p),
        ("gangs", POINTER(gang)),
        ("gang_count", c_size_t),
    ]


class block(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("bytes", c_uint64),
        ("tensor_bytes", POINTER(c_uint64)),
        ("tensors", POINTER(c_size_t)),
        ("tensor_count", c_size_t),
        ("tensor_names", POINTER(c_char_p)),
    ]


class traits(Structure):
    _fields_ = [
        ("needs_base", c_bool),
        ("differences", c_bool),
        ("inpaint", c_bool),
        ("hint_channels", c_uint64),
        ("union_types", c_uint64),
    ]


class limit(Structure):
    _fields_ = [("name", c_char_p), ("bytes", c_uint64)]


release_fn = CFUNCTYPE(c_uint64, c_void_p, c_char_p, c_uint64)
available_fn = CFUNCTYPE(c_uint64, c_void_p, c_char_p, c_uint64)


class request(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("compute_device", c_char_p),
        ("virtual_vram_bytes", c_uint64),
        ("donor_device", c_char_p),
        ("expert_mode_allocations", c_char_p),
        ("eject_models", c_bool),
        ("pack", c_bool),
        ("reserves", POINTER(limit)),
        ("reserve_count", c_size_t),
        ("budgets", POINTER(limit)),
        ("budget_count", c_size_t),
        ("release", release_fn),
        ("release_data", c_void_p),
        ("credits", POINTER(limit)),
        ("credit_count", c_size_t),
        ("place", c_char_p),
        ("alignment_bytes", c_uint64),
        ("padding_bytes", c_uint64),
        ("resident", c_bool),
        ("available", available_fn),
        ("available_data", c_void_p),
        ("flags", c_uint64),
        ("share", c_int),
        ("window_bytes", c_uint64),
        ("step_ns", c_uint64),
    ]


class share(Structure):
    _fields_ = [
        ("device", c_char_p),
        ("quota_bytes", c_uint64),
        ("bytes", c_uint64),
        ("cost_bytes", c_uint64),
        ("absorbs", c_bool),
        ("blocks", POINTER(c_size_t)),
        ("block_count", c_size_t),
        ("runs", c_size_t),
        ("load_seconds", c_double),
        ("load_cold_seconds", c_double),
        ("stream_gbps", c_double),
        ("reserve_bytes", c_uint64),
    ]


class prediction(Structure):
    _fields_ = [
        ("load_seconds", c_double),
        ("load_cold_seconds", c_double),
        ("streamed_bytes", c_uint64),
        ("transfer_seconds", c_double),
        ("compute_seconds", c_double),
        ("stall_seconds", c_double),
        ("compute_estimated", c_bool),
        ("assumed", c_bool),
        ("whole", c_bool),
        ("start_seconds", c_double),
        ("learnt_at", c_int64),
    ]


class progress_device(Structure):
    _fields_ = [("device", c_char_p), ("done_bytes", c_uint64), ("total_bytes", c_uint64)]


class progress(Structure):
    _fields_ = [
        ("model", c_char_p),
        ("verifying", c_bool),
        ("done_bytes", c_uint64),
        ("total_bytes", c_uint64),
        ("elapsed_ns", c_uint64),
        ("devices", POINTER(POINTER(progress_device))),
        ("device_count", c_size_t),
        ("waiting", c_bool),
    ]


# progress_data is a generator of the caller's: see Watch in _watch.py.
progress_fn = CFUNCTYPE(c_int, py_object, POINTER(progress))


class memory(Structure):
    _fields_ = [("device", c_char_p), ("handle", c_void_p), ("bytes", c_uint64)]


class load_options(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("verify", c_bool),
        ("staging_bytes", c_uint64),
        ("threads", c_uint),
        ("progress", progress_fn),
        ("progress_data", c_void_p),
        ("memory", POINTER(memory)),
        ("memory_count", c_size_t),
        ("borrow", c_bool),
        ("queue_depth", c_size_t),
        ("io", c_int),
    ]


class native(_Result):
    _fields_ = [("struct_size", c_size_t), ("device", c_char_p), ("handle", c_void_p), ("offset", c_uint64)]


class buffer(_Result):
    _fields_ = [("struct_size", c_size_t), ("device", c_char_p), ("handle", c_void_p), ("bytes", c_uint64)]


class device_stats(Structure):
    _fields_ = [
        ("device", c_char_p),
        ("bytes", c_uint64),
        ("ns", c_uint64),
        ("interval_ns", c_uint64),
        ("interval_count", c_size_t),
        ("reading_ns", POINTER(c_uint64)),
        ("waiting_ns", POINTER(c_uint64)),
        ("copying_ns", POINTER(c_uint64)),
    ]


class model_stats(Structure):
    _fields_ = [
        ("bytes", c_uint64),
        ("ns", c_uint64),
        ("staging_bytes", c_uint64),
        ("verified_bytes", c_uint64),
        ("devices", POINTER(POINTER(device_stats))),
        ("device_count", c_size_t),
        ("ejected", POINTER(c_char_p)),
        ("ejected_count", c_size_t),
        ("direct_bytes", c_uint64),
        ("queue_depth", c_uint),
        ("engine", c_char_p),
        ("shared_bytes", c_uint64),
        ("filled_bytes", c_uint64),
        ("share_users", c_size_t),
    ]


class shared_memory(Structure):
    _fields_ = [
        ("path", c_char_p),
        ("bytes", c_uint64),
        ("processes", POINTER(c_int64)),
        ("process_count", c_size_t),
        ("filler", c_int64),
        ("done_bytes", c_uint64),
        ("total_bytes", c_uint64),
    ]


class device_speeds(_Result):
    _fields_ = [
        ("struct_size", c_size_t),
        ("write_gbps", c_double),
        ("write_pinned_gbps", c_double),
        ("read_gbps", c_double),
        ("read_pinned_gbps", c_double),
    ]


class file_speeds(_Result):
    _fields_ = [
        ("struct_size", c_size_t),
        ("bytes", c_uint64),
        ("cold_gbps", c_double),
        ("cold_direct_gbps", c_double),
        ("fresh_gbps", c_double),
        ("touched_gbps", c_double),
    ]


class session_options(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("window_bytes", c_uint64),
        ("host_memory", c_int),
        ("pinned_bytes", c_uint64),
        ("staging_bytes", c_uint64),
        ("has_stream", c_bool),
        ("stream", c_void_p),
    ]


class session_stats(_Result):
    _fields_ = [
        ("struct_size", c_size_t),
        ("passes", c_uint64),
        ("bytes", c_uint64),
        ("acquires", c_uint64),
        ("hits", c_uint64),
        ("stalls", c_uint64),
        ("stall_ns", c_uint64),
        ("window_bytes", c_uint64),
    ]


class session_info(_Result):
    _fields_ = [
        ("struct_size", c_size_t),
        ("compute_device", c_char_p),
        ("pass_bytes", c_uint64),
        ("largest_bytes", c_uint64),
        ("window_bytes", c_uint64),
        ("staging_bytes", c_uint64),
        ("pinned_bytes", c_uint64),
        ("streamed_blocks", c_size_t),
        ("parked", c_bool),
    ]


class dlpack_device(_Result):
    _fields_ = [("struct_size", c_size_t), ("type", c_int32), ("id", c_int32)]
