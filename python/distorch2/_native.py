# SPDX-License-Identifier: BSD-3-Clause
"""The public headers of libdistorch2 as ctypes declarations, and nothing else: no object, no policy.

Structures carry their C names without ``dt2_``, and functions are attributes of :data:`lib` under their C names. A test
(tests/python/test_native.py) holds every line against the headers and against a C compiler's sizes and offsets.
"""

from __future__ import annotations

from ctypes import POINTER, c_bool, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p

from ._enums import ENUMS as ENUMS
from ._library import declared
from ._structs import *  # noqa: F403

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
