# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/ahead/ahead.c \
	src/ahead/ahead.h \
	src/ahead/order.c \
	src/ahead/order.h \
	src/ahead/window.c \
	src/ahead/window.h

check_PROGRAMS += tests/unit/test-stream tests/unit/test-window
TESTS += tests/unit/test-stream tests/unit/test-window
tests_unit_test_stream_SOURCES = tests/unit/test-stream.c tests/support/tap.h
tests_unit_test_stream_LDADD = $(TEST_LIBS)
tests_unit_test_window_SOURCES = \
	tests/support/layout.h \
	tests/support/scratch.h \
	tests/support/tap.h \
	tests/unit/test-window.c
tests_unit_test_window_LDADD = $(TEST_LIBS)
