# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/share/ledger.c \
	src/share/ledger.h \
	src/share/list.c \
	src/share/place.c \
	src/share/place.h \
	src/share/records.c \
	src/share/records.h \
	src/share/rendezvous.c \
	src/share/rendezvous.h \
	src/share/room.c \
	src/share/room.h \
	src/share/segment.c \
	src/share/segment.h

check_PROGRAMS += tests/unit/test-ledger tests/unit/test-ranks
TESTS += tests/unit/test-ledger tests/unit/test-ranks
tests_unit_test_ranks_SOURCES = tests/unit/test-ranks.c tests/support/scratch.h tests/support/tap.h
tests_unit_test_ranks_LDADD = $(TEST_LIBS)
tests_unit_test_ledger_SOURCES = tests/unit/test-ledger.c tests/support/layout.h tests/support/scratch.h tests/support/tap.h
tests_unit_test_ledger_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/test-records tests/unit/test-rendezvous
TESTS += tests/unit/test-records tests/unit/test-rendezvous
tests_unit_test_records_SOURCES = tests/unit/test-records.c tests/support/tap.h
tests_unit_test_records_LDADD = $(TEST_LIBS)
tests_unit_test_rendezvous_SOURCES = tests/unit/test-rendezvous.c tests/support/held.h tests/support/scratch.h tests/support/tap.h
tests_unit_test_rendezvous_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/test-share
TESTS += tests/unit/test-share
tests_unit_test_share_SOURCES = tests/unit/test-share.c tests/support/scratch.h tests/support/sharer.h tests/support/tap.h
tests_unit_test_share_LDADD = $(TEST_LIBS)
