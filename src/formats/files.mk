# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/formats/dtype.c \
	src/formats/dtype.h \
	src/formats/file.c \
	src/formats/file.h \
	src/formats/format.c \
	src/formats/format.h \
	src/formats/json_scan.c \
	src/formats/json_scan.h \
	src/formats/names.c \
	src/formats/names.h \
	src/formats/safetensors.c \
	src/formats/source.c \
	src/formats/source.h

# Models of published layouts with reproducible bytes, for the demo, the tests and the benchmarks.
noinst_PROGRAMS += tests/support/mkmodel
tests_support_mkmodel_SOURCES = tests/support/mkmodel.c tests/support/layout.h
