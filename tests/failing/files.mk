# SPDX-License-Identifier: BSD-3-Clause
# Every call failing once: of the library's own objects by the linker's --wrap, of the drivers' runtimes by the
# simulator.
FAILING_WRAPS = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free,--wrap=mmap,--wrap=munmap,--wrap=preadv \
	-Wl,--wrap=pthread_create,--wrap=open,--wrap=fopen,--wrap=opendir

check_PROGRAMS += tests/failing/test-failing
TESTS += tests/failing/test-failing tests/failing/simulated.sh tests/failing/short.sh
EXTRA_DIST += tests/failing/simulated.sh tests/failing/short.sh
tests_failing_test_failing_SOURCES = \
	tests/failing/session.c \
	tests/failing/session.h \
	tests/failing/test-failing.c \
	tests/support/held.h \
	tests/failing/work.c \
	tests/failing/work.h \
	tests/failing/wrap.c \
	tests/failing/wrap.h \
	tests/support/tap.h
# Sanitizers refer to some of the names as well, and then they must not be hidden.
tests_failing_test_failing_CFLAGS = $(AM_CFLAGS) -fvisibility=default $(JANSSON_CFLAGS)
tests_failing_test_failing_LDFLAGS = $(AM_LDFLAGS) $(DT2_WRAPPED_LDFLAGS) $(FAILING_WRAPS)
tests_failing_test_failing_LDADD = $(TEST_LIBS) $(SIM_ENGINE) $(JANSSON_LIBS) $(LIBADD_DLOPEN)

# All of them, instead of a sample of the driver's calls; and on a second machine.
check-failing-full: $(check_PROGRAMS) $(check_LTLIBRARIES) all
	@$(AM_TESTS_ENVIRONMENT) DT2_FAILING_FULL=1; export DT2_FAILING_FULL; \
	tests/failing/test-failing && $(SHELL) $(srcdir)/tests/failing/simulated.sh
.PHONY: check-failing-full

# The system calls of src/share.
SHARE_WRAPS = -Wl,--wrap=openat,--wrap=open,--wrap=flock,--wrap=fcntl,--wrap=memfd_create,--wrap=ftruncate,--wrap=fstat,--wrap=fstatat \
	-Wl,--wrap=pwrite,--wrap=pread,--wrap=mmap,--wrap=mprotect,--wrap=readlink,--wrap=__readlink_chk,--wrap=fallocate,--wrap=fchmod,--wrap=mkdirat \
	-Wl,--wrap=unlinkat,--wrap=calloc,--wrap=preadv
check_PROGRAMS += tests/failing/test-failing-share
TESTS += tests/failing/test-failing-share
tests_failing_test_failing_share_SOURCES = tests/failing/test-failing-share.c tests/support/held.h tests/support/sharer.h tests/support/tap.h
tests_failing_test_failing_share_CFLAGS = $(AM_CFLAGS) -fvisibility=default
tests_failing_test_failing_share_LDFLAGS = $(AM_LDFLAGS) $(DT2_WRAPPED_LDFLAGS) $(SHARE_WRAPS)
tests_failing_test_failing_share_LDADD = $(TEST_LIBS)
