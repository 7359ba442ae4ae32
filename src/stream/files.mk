# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/stream/acquire.c \
	src/stream/dlpack.c \
	src/stream/evict.c \
	src/stream/info.c \
	src/stream/gather.c \
	src/stream/gather.h \
	src/stream/passes.c \
	src/stream/pinning.c \
	src/stream/prefetch.c \
	src/stream/prefetch.h \
	src/stream/prefetch_make.c \
	src/stream/prefetch_place.c \
	src/stream/route.c \
	src/stream/session.c \
	src/stream/stream.h \
	src/stream/units.c \
	src/stream/verify.c

check_PROGRAMS += tests/unit/test-session
TESTS += tests/unit/test-session
sessions_headers = tests/unit/sessions.h tests/mixed/source.h tests/support/layout.h tests/support/opencl.h tests/support/scratch.h \
	tests/support/tap.h
tests_unit_test_session_SOURCES = tests/unit/test-session.c $(sessions_headers)
tests_unit_test_session_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/test-export
TESTS += tests/unit/test-export
tests_unit_test_export_SOURCES = tests/unit/test-export.c $(sessions_headers)
tests_unit_test_export_LDADD = $(TEST_LIBS)

check_PROGRAMS += tests/unit/test-fork
TESTS += tests/unit/test-fork
tests_unit_test_fork_SOURCES = \
	tests/support/layout.h \
	tests/support/model.h \
	tests/support/scratch.h \
	tests/support/tap.h \
	tests/unit/test-fork.c
tests_unit_test_fork_LDADD = $(TEST_LIBS)
