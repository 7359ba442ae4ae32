# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/base/alloc.c \
	src/base/alloc.h \
	src/base/checked.h \
	src/base/clock.c \
	src/base/clock.h \
	src/base/decimal.c \
	src/base/decimal.h \
	src/base/ending.c \
	src/base/ending.h \
	src/base/error.c \
	src/base/error.h \
	src/base/fork.c \
	src/base/fork.h \
	src/base/log.c \
	src/base/log.h \
	src/base/warnings.c \
	src/base/warnings.h \
	src/base/shown.c \
	src/base/shown.h \
	src/base/size.c \
	src/base/size.h \
	src/base/sized.c \
	src/base/sized.h \
	src/base/text.c \
	src/base/text.h \
	src/base/thread.c \
	src/base/thread.h

check_PROGRAMS += tests/unit/test-base tests/unit/test-shown
TESTS += tests/unit/test-base tests/unit/test-shown
tests_unit_test_shown_SOURCES = tests/unit/test-shown.c tests/support/tap.h
tests_unit_test_shown_LDADD = $(TEST_LIBS)
tests_unit_test_base_SOURCES = tests/unit/test-base.c tests/support/tap.h
tests_unit_test_base_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/test-sized
TESTS += tests/unit/test-sized
tests_unit_test_sized_SOURCES = tests/unit/test-sized.c tests/support/tap.h
tests_unit_test_sized_LDADD = $(TEST_LIBS)
