# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/formats/gguf/cursor.c \
	src/formats/gguf/gguf.c \
	src/formats/gguf/gguf.h \
	src/formats/gguf/pairs.c \
	src/formats/gguf/types.c

check_PROGRAMS += tests/unit/test-gguf
TESTS += tests/unit/test-gguf
tests_unit_test_gguf_SOURCES = tests/unit/test-gguf.c tests/support/scratch.h
tests_unit_test_gguf_LDADD = $(TEST_LIBS)
# Whole folders: what is in them, a script made.
EXTRA_DIST += \
	tests/data/gguf \
	tests/data/hostile/gguf \
	tests/data/hostile/gguf.py \
	tests/data/hostile/gguf.tsv
