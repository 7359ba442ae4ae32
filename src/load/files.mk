# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/load/chunks.c \
	src/load/chunks.h \
	src/load/fill.c \
	src/load/hash.c \
	src/load/hash.h \
	src/load/layout.c \
	src/load/layout.h \
	src/load/load.h \
	src/load/pins.c \
	src/load/pins.h \
	src/load/staging.c \
	src/load/staging.h \
	src/load/storage.c \
	src/load/storage.h \
	src/load/verify.c \
	src/load/workers.c \
	src/load/workers.h

check_PROGRAMS += tests/unit/test-load
TESTS += tests/unit/test-load
tests_unit_test_load_SOURCES = tests/unit/test-load.c tests/support/layout.h tests/support/scratch.h tests/support/tap.h
tests_unit_test_load_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/test-pins
TESTS += tests/unit/test-pins
tests_unit_test_pins_SOURCES = tests/unit/test-pins.c tests/support/tap.h
tests_unit_test_pins_LDADD = $(TEST_LIBS)
