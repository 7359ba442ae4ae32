# SPDX-License-Identifier: BSD-3-Clause
# Loops over elements: compiled so that they become vectors, and so that a product and a sum are rounded twice everywhere,
# as the references do.
noinst_LTLIBRARIES += libdistorch2-convert.la
libdistorch2_convert_la_SOURCES = \
	src/formats/convert/check.c \
	src/formats/convert/convert.c \
	src/formats/convert/convert.h \
	src/formats/convert/ggml.c \
	src/formats/convert/ggml.h \
	src/formats/convert/halves.c \
	src/formats/convert/halves.h
libdistorch2_convert_la_CFLAGS = $(AM_CFLAGS) $(DT2_VECTOR_CFLAGS)
libdistorch2_core_la_LIBADD += libdistorch2-convert.la

check_PROGRAMS += tests/unit/test-convert
TESTS += tests/unit/test-convert
tests_unit_test_convert_SOURCES = tests/unit/test-convert.c
tests_unit_test_convert_LDADD = $(TEST_LIBS)
