# SPDX-License-Identifier: BSD-3-Clause
# The front: opening, telling the format, folders and indices. The readers are rooms of their own.
libdistorch2_core_la_SOURCES += \
	src/formats/cached.c \
	src/formats/cached.h \
	src/formats/disk.c \
	src/formats/disk.h \
	src/formats/dtype.c \
	src/formats/dtype.h \
	src/formats/file.c \
	src/formats/file.h \
	src/formats/folder.c \
	src/formats/folder.h \
	src/formats/format.c \
	src/formats/format.h \
	src/formats/index.c \
	src/formats/merge.c \
	src/formats/merge.h \
	src/formats/mistaken.c \
	src/formats/names.c \
	src/formats/names.h \
	src/formats/parts.c \
	src/formats/parts.h \
	src/formats/source.c \
	src/formats/source.h \
	src/formats/stored.c \
	src/formats/view.c \
	src/formats/view.h

# Models of published layouts with reproducible bytes, for the demo, the tests and the benchmarks.
noinst_PROGRAMS += tests/support/mkmodel
tests_support_mkmodel_SOURCES = tests/support/mkmodel.c tests/support/layout.h

formats_tests = tests/unit/test-changing tests/unit/test-file tests/unit/test-formats-memory tests/unit/test-hostile \
	tests/unit/test-large tests/unit/test-opener tests/unit/test-parts tests/unit/test-shards tests/unit/test-view
tests_unit_test_opener_SOURCES = tests/unit/test-opener.c tests/support/compared.h tests/support/scratch.h
tests_unit_test_opener_LDADD = $(TEST_LIBS)
tests_unit_test_parts_SOURCES = tests/unit/test-parts.c tests/support/scratch.h
tests_unit_test_parts_LDADD = $(TEST_LIBS)
check_PROGRAMS += $(formats_tests)
TESTS += $(formats_tests)
tests_unit_test_changing_SOURCES = tests/unit/test-changing.c tests/support/scratch.h
tests_unit_test_changing_LDADD = $(TEST_LIBS)
tests_unit_test_file_SOURCES = tests/unit/test-file.c tests/support/scratch.h
tests_unit_test_file_LDADD = $(TEST_LIBS)
tests_unit_test_formats_memory_SOURCES = tests/unit/test-formats-memory.c tests/support/layout.h tests/support/scratch.h
tests_unit_test_formats_memory_LDADD = $(TEST_LIBS)
tests_unit_test_formats_memory_LDFLAGS = $(AM_LDFLAGS) $(DT2_WRAPPED_LDFLAGS) -Wl,--wrap=calloc,--wrap=realloc,--wrap=free
tests_unit_test_hostile_SOURCES = tests/unit/test-hostile.c tests/support/scratch.h
tests_unit_test_hostile_LDADD = $(TEST_LIBS)
tests_unit_test_large_SOURCES = tests/unit/test-large.c tests/support/scratch.h
tests_unit_test_large_LDADD = $(TEST_LIBS)
tests_unit_test_shards_SOURCES = tests/unit/test-shards.c tests/support/scratch.h
tests_unit_test_shards_LDADD = $(TEST_LIBS)
tests_unit_test_view_SOURCES = tests/unit/test-view.c tests/support/scratch.h
tests_unit_test_view_LDADD = $(TEST_LIBS)
EXTRA_DIST += \
	tests/data/execution_order/cldm_sd15.tsv \
	tests/data/execution_order/diffusers_sd15.tsv \
	tests/data/execution_order/flux_xlabs.tsv \
	tests/data/execution_order/hunyuandit.tsv \
	tests/data/execution_order/sd3_native.tsv \
	tests/data/hostile/index \
	tests/data/hostile/index.py \
	tests/data/hostile/index.tsv \
	tests/data/layouts/control_v11p_sd15_canny_fp16.tsv \
	tests/data/layouts/diffusers_flux_instantx_canny.tsv \
	tests/data/layouts/diffusers_qwen_instantx_union.tsv \
	tests/data/layouts/diffusers_sd15_canny.tsv \
	tests/data/layouts/diffusers_sd3_instantx_canny.tsv \
	tests/data/layouts/diffusers_sdxl_canny_fp16.tsv \
	tests/data/layouts/hunyuandit_canny.tsv \
	tests/data/layouts/sdxl_controlnet_cldm_fp16.tsv \
	tests/data/layouts/t2iadapter_canny_sd15v2.tsv \
	tests/data/layouts/xlabs_flux_canny_v3.tsv

include $(top_srcdir)/src/formats/convert/files.mk
include $(top_srcdir)/src/formats/gguf/files.mk
include $(top_srcdir)/src/formats/json/files.mk
include $(top_srcdir)/src/formats/pytorch/files.mk
include $(top_srcdir)/src/formats/safetensors/files.mk
