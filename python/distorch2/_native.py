# SPDX-License-Identifier: BSD-3-Clause
"""The public headers of libdistorch2 as ctypes declarations, and nothing else: no object, no policy.

Structures carry their C names without ``dt2_``, and functions are attributes of :data:`lib` under their C names. A test
(tests/python/test_native.py) holds every line against the headers and against a C compiler's sizes and offsets.
"""

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
    c_int64,
    c_int32,
    c_int64,
    c_size_t,
    c_uint,
    c_uint64,
    c_void_p,
    py_object,
)

from ._enums import ENUMS as ENUMS
from ._library import declared

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


_handle = c_void_p  # any opaque struct
_err = POINTER(error)

# What every function returns and takes, in the order of the headers.
FUNCTIONS = {
    # error.h
    "dt2_code_name": (c_char_p, [c_int]),
    "dt2_exit_status": (c_int, [c_int]),
    "dt2_version": (c_char_p, []),
    "dt2_text_free": (None, [c_void_p]),
    # size.h
    "dt2_size_parse": (c_int, [c_char_p, POINTER(c_uint64), _err]),
    "dt2_gib_parse": (c_int, [c_char_p, POINTER(c_uint64), _err]),
    "dt2_size_format": (c_void_p, [c_uint64, c_void_p, c_size_t]),
    # context.h
    "dt2_context_create": (c_int, [POINTER(context_options), POINTER(_handle), _err]),
    "dt2_context_destroy": (None, [_handle]),
    # device.h
    "dt2_devices_list": (c_int, [_handle, c_uint, POINTER(_handle), _err]),
    "dt2_devices_parse": (c_int, [c_char_p, c_size_t, POINTER(_handle), _err]),
    "dt2_devices_json": (c_void_p, [_handle]),
    "dt2_devices_free": (None, [_handle]),
    "dt2_devices_count": (c_size_t, [_handle]),
    "dt2_devices_get": (POINTER(device), [_handle, c_size_t]),
    "dt2_devices_find": (c_int, [_handle, c_char_p, POINTER(c_size_t), _err]),
    "dt2_devices_default": (c_size_t, [_handle]),
    "dt2_devices_budget_count": (c_size_t, [_handle]),
    "dt2_devices_speeds": (POINTER(speeds), [_handle]),
    "dt2_devices_budget": (POINTER(budget), [_handle, c_size_t]),
    "dt2_devices_unusable_count": (c_size_t, [_handle]),
    "dt2_devices_unusable": (POINTER(unusable), [_handle, c_size_t]),
    "dt2_devices_distances": (POINTER(c_uint64), [_handle, POINTER(c_size_t)]),
    "dt2_device_native": (c_int, [_handle, c_char_p, c_bool, POINTER(native_device), _err]),
    # shared.h
    "dt2_shared_list_make": (c_int, [POINTER(_handle), _err]),
    "dt2_shared_list_free": (None, [_handle]),
    "dt2_shared_list_count": (c_size_t, [_handle]),
    "dt2_shared_list_get": (POINTER(shared_memory), [_handle, c_size_t]),
    # catalog.h
    "dt2_catalog_open": (c_int, [POINTER(catalog_options), log_fn, c_void_p, POINTER(_handle), _err]),
    "dt2_catalog_free": (None, [_handle]),
    "dt2_catalog_refresh": (c_int, [_handle, POINTER(catalog_changes), _err]),
    "dt2_catalog_folder_count": (c_size_t, [_handle]),
    "dt2_catalog_folder": (c_char_p, [_handle, c_size_t]),
    "dt2_catalog_count": (c_size_t, [_handle]),
    "dt2_catalog_get": (POINTER(catalog_entry), [_handle, c_size_t]),
    "dt2_catalog_bytes": (c_uint64, [POINTER(catalog_entry)]),
    "dt2_catalog_is_path": (c_bool, [c_char_p]),
    "dt2_catalog_resolve": (c_int, [_handle, c_char_p, POINTER(c_void_p), _err]),
    # file.h
    "dt2_file_open": (c_int, [c_char_p, POINTER(_handle), _err]),
    "dt2_file_open_with": (c_int, [c_char_p, POINTER(file_options), POINTER(_handle), _err]),
    "dt2_file_free": (None, [_handle]),
    "dt2_file_path": (c_char_p, [_handle]),
    "dt2_file_note": (c_char_p, [_handle]),
    "dt2_file_format": (c_char_p, [_handle]),
    "dt2_file_total_bytes": (c_uint64, [_handle]),
    "dt2_file_fingerprint": (c_char_p, [_handle]),
    "dt2_file_tensor_count": (c_size_t, [_handle]),
    "dt2_file_tensor": (POINTER(tensor), [_handle, c_size_t]),
    "dt2_file_find": (c_int, [_handle, c_char_p, POINTER(c_size_t), _err]),
    "dt2_file_metadata_count": (c_size_t, [_handle]),
    "dt2_file_metadata": (None, [_handle, c_size_t, POINTER(c_char_p), POINTER(c_char_p)]),
    "dt2_file_read": (c_int, [_handle, c_size_t, c_void_p, c_uint64, _err]),
    "dt2_file_unchanged": (c_int, [_handle, _err]),
    "dt2_device_measure": (c_int, [_handle, c_char_p, POINTER(device_speeds), _err]),
    "dt2_file_measure": (c_int, [_handle, c_uint64, POINTER(file_speeds), _err]),
    "dt2_file_drop_cache": (None, [_handle]),
    "dt2_file_stored": (c_int, [_handle, POINTER(storing), POINTER(_handle), _err]),
    "dt2_file_dtype": (c_char_p, [_handle]),
    # plan.h
    "dt2_blocks_make": (c_int, [_handle, POINTER(_handle), _err]),
    "dt2_blocks_make_all": (c_int, [_handle, POINTER(_handle), _err]),
    "dt2_blocks_left_out": (c_size_t, [_handle, POINTER(c_uint64)]),
    "dt2_blocks_from": (c_int, [_handle, POINTER(block), c_size_t, POINTER(_handle), _err]),
    "dt2_blocks_cut": (c_int, [_handle, _handle, c_char_p, POINTER(_handle), _err]),
    "dt2_blocks_free": (None, [_handle]),
    "dt2_blocks_count": (c_size_t, [_handle]),
    "dt2_blocks_array": (POINTER(block), [_handle]),
    "dt2_blocks_family": (c_char_p, [_handle]),
    "dt2_blocks_variant": (c_char_p, [_handle]),
    "dt2_blocks_needs_base": (c_bool, [_handle]),
    "dt2_blocks_traits": (POINTER(traits), [_handle]),
    "dt2_plan_make": (c_int, [_handle, POINTER(block), c_size_t, POINTER(request), POINTER(_handle), _err]),
    "dt2_plan_free": (None, [_handle]),
    "dt2_plan_check": (c_int, [_handle, _handle, _err]),
    "dt2_plan_share_count": (c_size_t, [_handle]),
    "dt2_plan_prediction": (POINTER(prediction), [_handle]),
    "dt2_plan_share": (POINTER(share), [_handle, c_size_t]),
    "dt2_plan_compute_device": (c_char_p, [_handle]),
    "dt2_plan_window_bytes": (c_uint64, [_handle]),
    "dt2_plan_block_share": (c_size_t, [_handle, c_size_t]),
    "dt2_plan_warning_count": (c_size_t, [_handle]),
    "dt2_plan_warning": (c_char_p, [_handle, c_size_t]),
    "dt2_plan_parse": (c_int, [c_char_p, c_size_t, _handle, _handle, POINTER(_handle), _err]),
    "dt2_plan_json": (c_void_p, [_handle, _handle]),
    # model.h
    "dt2_model_plan": (c_int, [_handle, _handle, POINTER(request), POINTER(_handle), _err]),
    "dt2_model_load": (
        c_int,
        [_handle, _handle, _handle, POINTER(request), POINTER(load_options), POINTER(_handle), _err],
    ),
    "dt2_model_load_plan": (
        c_int,
        [_handle, _handle, _handle, _handle, POINTER(load_options), POINTER(_handle), _err],
    ),
    "dt2_model_ref": (_handle, [_handle]),
    "dt2_model_unref": (None, [_handle]),
    "dt2_model_borrow": (c_int, [_handle, _err]),
    "dt2_model_return": (None, [_handle]),
    "dt2_model_unload": (c_int, [_handle, c_int, _err]),
    "dt2_model_evict": (c_int, [_handle, c_char_p, c_uint64, POINTER(c_uint64), _err]),
    "dt2_model_restore": (c_int, [_handle, POINTER(c_uint64), _err]),
    "dt2_model_held": (c_uint64, [_handle, c_char_p]),
    "dt2_model_name": (c_char_p, [_handle]),
    "dt2_model_path": (c_char_p, [_handle]),
    "dt2_model_loaded": (c_bool, [_handle]),
    "dt2_model_applied_plan": (_handle, [_handle]),
    "dt2_model_buffer_count": (c_size_t, [_handle]),
    "dt2_model_buffer": (c_int, [_handle, c_size_t, POINTER(buffer), _err]),
    "dt2_model_tensor_count": (c_size_t, [_handle]),
    "dt2_model_tensor": (POINTER(tensor), [_handle, c_size_t]),
    "dt2_model_find": (c_int, [_handle, c_char_p, POINTER(c_size_t), _err]),
    "dt2_model_device": (c_char_p, [_handle, c_size_t]),
    "dt2_model_block_count": (c_size_t, [_handle]),
    "dt2_model_block": (POINTER(block), [_handle, c_size_t]),
    "dt2_model_tensor_block": (c_size_t, [_handle, c_size_t]),
    "dt2_model_native": (c_int, [_handle, c_size_t, POINTER(native), _err]),
    "dt2_model_read": (c_int, [_handle, c_size_t, c_void_p, c_uint64, _err]),
    "dt2_model_statistics": (POINTER(model_stats), [_handle]),
    "dt2_context_models": (c_size_t, [_handle, POINTER(_handle), c_size_t]),
    # session.h
    "dt2_session_open": (c_int, [_handle, POINTER(session_options), POINTER(_handle), _err]),
    "dt2_session_close": (c_int, [_handle, _err]),
    "dt2_session_model": (_handle, [_handle]),
    "dt2_session_acquire": (c_int, [_handle, c_size_t, c_uint, _err]),
    "dt2_session_release": (c_int, [_handle, c_size_t, _err]),
    "dt2_session_acquire_tensor": (c_int, [_handle, c_size_t, c_uint, _err]),
    "dt2_session_release_tensor": (c_int, [_handle, c_size_t, _err]),
    "dt2_session_native": (c_int, [_handle, c_size_t, POINTER(native), _err]),
    "dt2_session_use_stream": (c_int, [_handle, c_void_p, _err]),
    "dt2_session_next_pass": (None, [_handle]),
    "dt2_session_statistics": (c_int, [_handle, c_int, POINTER(session_stats), _err]),
    "dt2_session_info": (c_int, [_handle, POINTER(session_info), _err]),
    "dt2_session_warning_count": (c_size_t, [_handle]),
    "dt2_session_warning": (c_char_p, [_handle, c_size_t]),
    "dt2_session_streams": (c_bool, [_handle, c_size_t]),
    "dt2_session_verify": (c_int, [_handle, _handle, progress_fn, c_void_p, POINTER(c_uint64), _err]),
    "dt2_session_park": (c_int, [_handle, _err]),
    "dt2_session_unpark": (c_int, [_handle, _err]),
    # dlpack.h
    "dt2_tensor_dlpack": (c_int, [_handle, _handle, c_size_t, c_int, POINTER(c_void_p), _err]),
    "dt2_tensor_dlpack_device": (c_int, [_handle, _handle, c_size_t, POINTER(dlpack_device), _err]),
    "dt2_session_acquire_dlpack": (c_int, [_handle, POINTER(c_size_t), c_size_t, c_uint, c_int, POINTER(c_void_p), _err]),
    "dt2_session_release_tensors": (c_int, [_handle, POINTER(c_size_t), c_size_t, _err]),
    "dt2_dlpack_capsule_free": (None, [c_void_p]),
}

lib = declared(FUNCTIONS)
