# SPDX-License-Identifier: BSD-3-Clause
# Tests that belong to no single room, and what all tests share.
EXTRA_DIST += \
	tests/support/bats.sh \
	tests/support/tap.h

# The driver conformance suite: every device of every driver that is found.
check_PROGRAMS += tests/driver/conformance
TESTS += tests/driver/conformance
tests_driver_conformance_SOURCES = \
	tests/driver/check-device.c \
	tests/driver/check-memory.c \
	tests/driver/check-queue.c \
	tests/driver/conformance.c \
	tests/driver/subject.h \
	tests/support/tap.h
tests_driver_conformance_LDADD = $(TEST_LIBS)

# The house: arrows between rooms, what is exported, what is public.
TESTS += tests/house/arrows.sh tests/house/symbols.sh
EXTRA_DIST += tests/house/arrows.sh tests/house/symbols.sh
