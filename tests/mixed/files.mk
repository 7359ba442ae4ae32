# SPDX-License-Identifier: BSD-3-Clause
# Drivers of all makers in one process, on simulated machines.
check_PROGRAMS += tests/mixed/test-mixed
TESTS += tests/mixed/test-mixed
tests_mixed_test_mixed_SOURCES = \
	tests/mixed/simulated.h \
	tests/mixed/source.h \
	tests/mixed/test-mixed.c \
	tests/support/layout.h \
	tests/support/scratch.h \
	tests/support/tap.h
tests_mixed_test_mixed_LDADD = $(TEST_LIBS) $(LIBADD_DLOPEN)

TESTS += tests/mixed/alone.sh tests/mixed/conformance.sh tests/mixed/mixed.bats
EXTRA_DIST += tests/mixed/alone.sh tests/mixed/conformance.sh tests/mixed/mixed.bats

# All that simulated machines test, on those that have no CUDA runtime.
check-alone: $(check_PROGRAMS) $(check_LTLIBRARIES) $(check_DATA) all
	@$(AM_TESTS_ENVIRONMENT) DT2_ALONE_FULL=1; export DT2_ALONE_FULL; $(SHELL) $(srcdir)/tests/mixed/alone.sh
.PHONY: check-alone

# The SDXL layout in its real size: 2.5 GB in the folder of temporary files, and as much memory again.
check-mixed-full: all
	@test -n '$(BATS)' || { echo 'bats was not found by configure' >&2; exit 1; }
	@$(MAKE) -s --no-print-directory $(AM_MAKEFLAGS) $(check_PROGRAMS) $(check_LTLIBRARIES)
	@$(AM_TESTS_ENVIRONMENT) DT2_MIXED_DIVIDE=1 $(BATS) --filter 'three makers and the host' \
	$(top_srcdir)/tests/mixed/mixed.bats
.PHONY: check-mixed-full

check_PROGRAMS += tests/mixed/test-lasting
TESTS += tests/mixed/test-lasting
tests_mixed_test_lasting_SOURCES = \
	tests/mixed/simulated.h \
	tests/mixed/source.h \
	tests/mixed/test-lasting.c \
	tests/support/held.h \
	tests/support/layout.h \
	tests/support/scratch.h \
	tests/support/tap.h
tests_mixed_test_lasting_LDADD = $(TEST_LIBS) $(LIBADD_DLOPEN)

check_PROGRAMS += tests/mixed/test-runtimes
TESTS += tests/mixed/test-runtimes
tests_mixed_test_runtimes_SOURCES = \
	tests/mixed/simulated.h \
	tests/mixed/source.h \
	tests/mixed/test-runtimes.c \
	tests/support/layout.h \
	tests/support/scratch.h \
	tests/support/tap.h
tests_mixed_test_runtimes_LDADD = $(TEST_LIBS) $(LIBADD_DLOPEN)

# Sessions.
lives_headers = \
	tests/mixed/lives.h \
	tests/mixed/runtime.h \
	tests/mixed/simulated.h \
	tests/mixed/source.h \
	tests/mixed/user.h \
	tests/support/layout.h \
	tests/support/scratch.h \
	tests/support/tap.h
check_PROGRAMS += tests/mixed/test-sessions
TESTS += tests/mixed/test-sessions
tests_mixed_test_sessions_SOURCES = tests/mixed/test-sessions.c $(lives_headers)
tests_mixed_test_sessions_LDADD = $(TEST_LIBS) $(LIBADD_DLOPEN)
check_PROGRAMS += tests/mixed/test-pinning
TESTS += tests/mixed/test-pinning
tests_mixed_test_pinning_SOURCES = tests/mixed/test-pinning.c $(lives_headers)
tests_mixed_test_pinning_LDADD = $(TEST_LIBS) $(LIBADD_DLOPEN)
check_PROGRAMS += tests/mixed/test-evict
TESTS += tests/mixed/test-evict
tests_mixed_test_evict_SOURCES = tests/mixed/test-evict.c $(lives_headers)
tests_mixed_test_evict_LDADD = $(TEST_LIBS) $(LIBADD_DLOPEN)
# Ten thousand random points at each place.
check-evict: all
	@$(MAKE) -s --no-print-directory $(AM_MAKEFLAGS) $(check_PROGRAMS) $(check_LTLIBRARIES)
	@$(AM_TESTS_ENVIRONMENT) DT2_TEST_POINTS=10000; export DT2_TEST_POINTS; tests/mixed/test-evict
.PHONY: check-evict
check_PROGRAMS += tests/mixed/test-session-faults
TESTS += tests/mixed/test-session-faults
tests_mixed_test_session_faults_SOURCES = tests/mixed/test-session-faults.c $(lives_headers)
tests_mixed_test_session_faults_LDADD = $(TEST_LIBS) $(LIBADD_DLOPEN)
