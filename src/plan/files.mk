# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/plan/blocks.c \
	src/plan/order.c \
	src/plan/order.h \
	src/plan/recognise.c \
	src/plan/recognise.h

check_PROGRAMS += tests/unit/test-blocks
TESTS += tests/unit/test-blocks
tests_unit_test_blocks_SOURCES = tests/unit/test-blocks.c tests/support/layout.h tests/support/scratch.h
tests_unit_test_blocks_LDADD = $(TEST_LIBS)
