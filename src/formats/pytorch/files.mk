# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/formats/pytorch/archive.c \
	src/formats/pytorch/legacy.c \
	src/formats/pytorch/pickle.c \
	src/formats/pytorch/pickle.h \
	src/formats/pytorch/pickle_calls.c \
	src/formats/pytorch/pickle_globals.c \
	src/formats/pytorch/pickle_globals.h \
	src/formats/pytorch/pickle_input.c \
	src/formats/pytorch/pickle_input.h \
	src/formats/pytorch/pickle_machine.h \
	src/formats/pytorch/pickle_opcodes.c \
	src/formats/pytorch/pickle_values.c \
	src/formats/pytorch/pytorch.c \
	src/formats/pytorch/pytorch.h \
	src/formats/pytorch/reader.h \
	src/formats/pytorch/several.c \
	src/formats/pytorch/state_dict.c \
	src/formats/pytorch/zip.c \
	src/formats/pytorch/zip.h

check_PROGRAMS += tests/unit/test-pytorch tests/unit/test-pytorch-large
TESTS += tests/unit/test-pytorch tests/unit/test-pytorch-large
tests_unit_test_pytorch_SOURCES = tests/unit/test-pytorch.c tests/support/scratch.h
tests_unit_test_pytorch_LDADD = $(TEST_LIBS)
tests_unit_test_pytorch_large_SOURCES = tests/unit/test-pytorch-large.c tests/support/scratch.h
tests_unit_test_pytorch_large_LDADD = $(TEST_LIBS)
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
