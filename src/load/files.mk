# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/load/activity.c \
	src/load/activity.h \
	src/load/disks.c \
	src/load/disks.h \
	src/load/fill.c \
	src/load/fill.h \
	src/load/flight.c \
	src/load/hash.c \
	src/load/hash.h \
	src/load/layout.c \
	src/load/layout.h \
	src/load/load.h \
	src/load/move.c \
	src/load/move.h \
	src/load/pins.c \
	src/load/pins.h \
	src/load/populate.c \
	src/load/populate.h \
	src/load/reads.c \
	src/load/reads.h \
	src/load/sharing.c \
	src/load/sharing.h \
	src/load/staging.c \
	src/load/staging.h \
	src/load/storage.c \
	src/load/storage.h \
	src/load/uring.c \
	src/load/uring.h \
	src/load/verify.c \
	src/load/workers.c \
	src/load/workers.h

check_PROGRAMS += tests/unit/test-activity
TESTS += tests/unit/test-activity
tests_unit_test_activity_SOURCES = tests/unit/test-activity.c tests/support/tap.h
tests_unit_test_activity_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/test-load
TESTS += tests/unit/test-load
tests_unit_test_load_SOURCES = tests/unit/test-load.c tests/support/layout.h tests/support/scratch.h tests/support/tap.h
tests_unit_test_load_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/test-pins
TESTS += tests/unit/test-pins
tests_unit_test_pins_SOURCES = tests/unit/test-pins.c tests/support/tap.h
tests_unit_test_pins_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/test-io
TESTS += tests/unit/test-io
tests_unit_test_io_SOURCES = tests/unit/test-io.c tests/support/layout.h tests/support/scratch.h tests/support/tap.h
tests_unit_test_io_LDADD = $(TEST_LIBS)
