# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/formats/dtype.c \
	src/formats/dtype.h \
	src/formats/file.c \
	src/formats/file.h \
	src/formats/folder.c \
	src/formats/folder.h \
	src/formats/format.c \
	src/formats/format.h \
	src/formats/gguf.c \
	src/formats/gguf.h \
	src/formats/gguf_cursor.c \
	src/formats/gguf_pairs.c \
	src/formats/gguf_types.c \
	src/formats/index.c \
	src/formats/json_scan.c \
	src/formats/json_scan.h \
	src/formats/names.c \
	src/formats/names.h \
	src/formats/pickle.c \
	src/formats/pickle.h \
	src/formats/pickle_calls.c \
	src/formats/pickle_globals.c \
	src/formats/pickle_globals.h \
	src/formats/pickle_input.c \
	src/formats/pickle_input.h \
	src/formats/pickle_machine.h \
	src/formats/pickle_opcodes.c \
	src/formats/pickle_values.c \
	src/formats/pytorch.c \
	src/formats/pytorch.h \
	src/formats/pytorch_legacy.c \
	src/formats/pytorch_zip.c \
	src/formats/safetensors.c \
	src/formats/source.c \
	src/formats/source.h \
	src/formats/view.c \
	src/formats/view.h \
	src/formats/zip.c \
	src/formats/zip.h

# Models of published layouts with reproducible bytes, for the demo, the tests and the benchmarks.
noinst_PROGRAMS += tests/support/mkmodel
tests_support_mkmodel_SOURCES = tests/support/mkmodel.c tests/support/layout.h

check_PROGRAMS += tests/unit/test-file tests/unit/test-formats-memory tests/unit/test-json-scan tests/unit/test-safetensors
TESTS += tests/unit/test-file tests/unit/test-formats-memory tests/unit/test-json-scan tests/unit/test-safetensors
tests_unit_test_file_SOURCES = tests/unit/test-file.c tests/support/scratch.h
tests_unit_test_file_LDADD = $(TEST_LIBS)
tests_unit_test_formats_memory_SOURCES = tests/unit/test-formats-memory.c tests/support/layout.h tests/support/scratch.h
tests_unit_test_formats_memory_LDADD = $(TEST_LIBS)
tests_unit_test_formats_memory_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=calloc,--wrap=realloc,--wrap=free
tests_unit_test_json_scan_SOURCES = tests/unit/test-json-scan.c
tests_unit_test_json_scan_LDADD = $(TEST_LIBS)
tests_unit_test_safetensors_SOURCES = tests/unit/test-safetensors.c tests/support/layout.h tests/support/scratch.h
tests_unit_test_safetensors_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/test-changing tests/unit/test-gguf tests/unit/test-hostile tests/unit/test-large tests/unit/test-shards
TESTS += tests/unit/test-changing tests/unit/test-gguf tests/unit/test-hostile tests/unit/test-large tests/unit/test-shards
tests_unit_test_changing_SOURCES = tests/unit/test-changing.c tests/support/scratch.h
tests_unit_test_changing_LDADD = $(TEST_LIBS)
tests_unit_test_gguf_SOURCES = tests/unit/test-gguf.c tests/support/scratch.h
tests_unit_test_gguf_LDADD = $(TEST_LIBS)
tests_unit_test_hostile_SOURCES = tests/unit/test-hostile.c tests/support/scratch.h
tests_unit_test_hostile_LDADD = $(TEST_LIBS)
tests_unit_test_large_SOURCES = tests/unit/test-large.c tests/support/scratch.h
tests_unit_test_large_LDADD = $(TEST_LIBS)
tests_unit_test_shards_SOURCES = tests/unit/test-shards.c tests/support/scratch.h
tests_unit_test_shards_LDADD = $(TEST_LIBS)

# Whole folders: what is in them, a script made.
EXTRA_DIST += \
	tests/data/gguf \
	tests/data/hostile/gguf \
	tests/data/hostile/gguf.py \
	tests/data/hostile/gguf.tsv \
	tests/data/hostile/index \
	tests/data/hostile/index.py \
	tests/data/hostile/index.tsv

pytorch_tests = tests/unit/test-pytorch tests/unit/test-pytorch-large tests/unit/test-view
check_PROGRAMS += $(pytorch_tests)
TESTS += $(pytorch_tests)
tests_unit_test_pytorch_SOURCES = tests/unit/test-pytorch.c tests/support/scratch.h
tests_unit_test_pytorch_LDADD = $(TEST_LIBS)
tests_unit_test_pytorch_large_SOURCES = tests/unit/test-pytorch-large.c tests/support/scratch.h
tests_unit_test_pytorch_large_LDADD = $(TEST_LIBS)
tests_unit_test_view_SOURCES = tests/unit/test-view.c tests/support/scratch.h
tests_unit_test_view_LDADD = $(TEST_LIBS)
EXTRA_DIST += \
	tests/data/hostile/pytorch \
	tests/data/pytorch \
	tests/fuzz/fuzz-legacy.c \
	tests/fuzz/fuzz-pickle.c \
	tests/fuzz/fuzz-zip.c \
	tests/fuzz/pickle.dict \
	tests/fuzz/seeds/pickle \
	tests/fuzz/zip.dict \
	tests/support/torchfile.py

EXTRA_DIST += \
	tests/data/execution_order/cldm_sd15.tsv \
	tests/data/execution_order/diffusers_sd15.tsv \
	tests/data/execution_order/flux_xlabs.tsv \
	tests/data/execution_order/hunyuandit.tsv \
	tests/data/execution_order/sd3_native.tsv \
	tests/data/layouts/control_v11p_sd15_canny_fp16.tsv \
	tests/data/layouts/diffusers_flux_instantx_canny.tsv \
	tests/data/layouts/diffusers_qwen_instantx_union.tsv \
	tests/data/layouts/diffusers_sd15_canny.tsv \
	tests/data/layouts/diffusers_sd3_instantx_canny.tsv \
	tests/data/layouts/diffusers_sdxl_canny_fp16.tsv \
	tests/data/layouts/hunyuandit_canny.tsv \
	tests/data/layouts/sdxl_controlnet_cldm_fp16.tsv \
	tests/data/layouts/t2iadapter_canny_sd15v2.tsv \
	tests/data/layouts/xlabs_flux_canny_v3.tsv \
	tests/data/safetensors/array.safetensors \
	tests/data/safetensors/array_info.safetensors \
	tests/data/safetensors/bad_utf8.safetensors \
	tests/data/safetensors/deep.safetensors \
	tests/data/safetensors/dup_diff.safetensors \
	tests/data/safetensors/dup_diff2.safetensors \
	tests/data/safetensors/dup_meta.safetensors \
	tests/data/safetensors/dup_metakey.safetensors \
	tests/data/safetensors/dup_same.safetensors \
	tests/data/safetensors/empty_name.safetensors \
	tests/data/safetensors/empty_obj.safetensors \
	tests/data/safetensors/f4_odd.safetensors \
	tests/data/safetensors/float_shape.safetensors \
	tests/data/safetensors/hdr_len_0.safetensors \
	tests/data/safetensors/hdr_len_100M.safetensors \
	tests/data/safetensors/hdr_len_big.safetensors \
	tests/data/safetensors/hole.safetensors \
	tests/data/safetensors/lead_ws.safetensors \
	tests/data/safetensors/lone_surr.safetensors \
	tests/data/safetensors/meta_arr.safetensors \
	tests/data/safetensors/meta_nonstr.safetensors \
	tests/data/safetensors/meta_null.safetensors \
	tests/data/safetensors/misalign.safetensors \
	tests/data/safetensors/neg.safetensors \
	tests/data/safetensors/no_shape.safetensors \
	tests/data/safetensors/nul_name.safetensors \
	tests/data/safetensors/null.safetensors \
	tests/data/safetensors/ok.safetensors \
	tests/data/safetensors/one_off.safetensors \
	tests/data/safetensors/ovf.safetensors \
	tests/data/safetensors/ovf_bits.safetensors \
	tests/data/safetensors/rank300.safetensors \
	tests/data/safetensors/size_mismatch.safetensors \
	tests/data/safetensors/trail_nul.safetensors \
	tests/data/safetensors/trailing.safetensors \
	tests/data/safetensors/trunc.safetensors \
	tests/data/safetensors/unk_dtype.safetensors \
	tests/data/safetensors/unk_field.safetensors \
	tests/data/safetensors/verdicts.tsv \
	tests/data/safetensors/zero_first_ovf.safetensors \
	tests/data/safetensors/zero_hole.safetensors \
	tests/data/safetensors/zero_last_ovf.safetensors

EXTRA_DIST += \
	tests/fuzz/fuzz-safetensors.c \
	tests/fuzz/safetensors.dict \
	tests/fuzz/seeds/safetensors/bad_utf8.safetensors \
	tests/fuzz/seeds/safetensors/cldm.safetensors \
	tests/fuzz/seeds/safetensors/deep.safetensors \
	tests/fuzz/seeds/safetensors/dup_same.safetensors \
	tests/fuzz/seeds/safetensors/escapes.safetensors \
	tests/fuzz/seeds/safetensors/f4_odd.safetensors \
	tests/fuzz/seeds/safetensors/float_shape.safetensors \
	tests/fuzz/seeds/safetensors/hole.safetensors \
	tests/fuzz/seeds/safetensors/lead_ws.safetensors \
	tests/fuzz/seeds/safetensors/lone_surr.safetensors \
	tests/fuzz/seeds/safetensors/meta_null.safetensors \
	tests/fuzz/seeds/safetensors/misalign.safetensors \
	tests/fuzz/seeds/safetensors/nul_name.safetensors \
	tests/fuzz/seeds/safetensors/ok.safetensors \
	tests/fuzz/seeds/safetensors/unk_field.safetensors \
	tests/fuzz/seeds/safetensors/zero_first_ovf.safetensors
