# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/share/ledger.c \
	src/share/ledger.h

check_PROGRAMS += tests/unit/test-ledger tests/unit/test-ranks
TESTS += tests/unit/test-ledger tests/unit/test-ranks
tests_unit_test_ranks_SOURCES = tests/unit/test-ranks.c tests/support/scratch.h tests/support/tap.h
tests_unit_test_ranks_LDADD = $(TEST_LIBS)
tests_unit_test_ledger_SOURCES = tests/unit/test-ledger.c tests/support/layout.h tests/support/scratch.h tests/support/tap.h
tests_unit_test_ledger_LDADD = $(TEST_LIBS)
