# SPDX-License-Identifier: BSD-3-Clause
# Tests that belong to no single room, and what all tests share.
EXTRA_DIST += \
	tests/support/bats.sh \
	tests/support/run.sh \
	tests/support/tap.h \
	tests/support/tap.sh

# The driver conformance suite: every device of every driver that is found.
check_PROGRAMS += tests/driver/conformance
TESTS += tests/driver/conformance
tests_driver_conformance_SOURCES = \
	tests/driver/check-device.c \
	tests/driver/check-memory.c \
	tests/driver/check-queue.c \
	tests/driver/conformance.c \
	tests/driver/subject.c \
	tests/driver/subject.h \
	tests/support/tap.h
tests_driver_conformance_LDADD = $(TEST_LIBS)

# For authors of drivers, who have no build of ours: the same program, installed.
pkglibexec_PROGRAMS = driver-conformance
driver_conformance_SOURCES = $(tests_driver_conformance_SOURCES)
driver_conformance_LDADD = $(tests_driver_conformance_LDADD)

# What is OpenCL's own: platforms that no machine at hand has, and things of the caller's that are adopted.
if WITH_OPENCL
check_LTLIBRARIES += tests/driver/fake-icd.la
tests_driver_fake_icd_la_SOURCES = tests/driver/fake-icd.c
tests_driver_fake_icd_la_CFLAGS = $(AM_CFLAGS) $(OPENCL_CFLAGS)
tests_driver_fake_icd_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
check_PROGRAMS += tests/driver/test-opencl-fake tests/driver/test-opencl-adopt
TESTS += tests/driver/test-opencl-fake tests/driver/test-opencl-adopt
tests_driver_test_opencl_fake_SOURCES = \
	tests/driver/subject.c \
	tests/driver/subject.h \
	tests/driver/test-opencl-fake.c \
	tests/support/tap.h
tests_driver_test_opencl_fake_LDADD = $(TEST_LIBS)
tests_driver_test_opencl_adopt_SOURCES = \
	tests/driver/subject.c \
	tests/driver/subject.h \
	tests/driver/test-opencl-adopt.c \
	tests/support/tap.h
check_PROGRAMS += tests/driver/test-own-context
TESTS += tests/driver/test-own-context
tests_driver_test_own_context_SOURCES = \
	tests/driver/test-own-context.c \
	tests/support/layout.h \
	tests/support/scratch.h \
	tests/support/tap.h
tests_driver_test_own_context_CFLAGS = $(AM_CFLAGS) $(OPENCL_CFLAGS)
tests_driver_test_own_context_LDADD = $(TEST_LIBS) $(OPENCL_LIBS)
tests_driver_test_opencl_adopt_CFLAGS = $(AM_CFLAGS) $(OPENCL_CFLAGS)
tests_driver_test_opencl_adopt_LDADD = $(TEST_LIBS) $(OPENCL_LIBS)
endif

# make check-intel: a second vendor's OpenCL runtime beside PoCL. It needs Python, and a network once.
EXTRA_DIST += tests/driver/intel.sh
check-intel: all tests/driver/conformance tests/support/mkmodel
	@$(AM_TESTS_ENVIRONMENT) $(SHELL) $(top_srcdir)/tests/driver/intel.sh
clean-local: clean-intel
clean-intel:
	rm -rf intel-venv intel-venv.log
.PHONY: check-intel clean-intel

# The house: the ABI, recipes of packagers, arrows between rooms, what configure refuses, what is exported, public and installed, the wrapper for C++.
house_tests = \
	tests/house/abi.py \
	tests/house/arrows.sh \
	tests/house/configure.sh \
	tests/house/install.sh \
	tests/house/quickstart.sh \
	tests/house/recipes.py \
	tests/house/symbols.sh \
	tests/house/wrapper.sh
TESTS += $(house_tests)
EXTRA_DIST += $(house_tests) tests/house/installed.sh tests/house/wrapper.cc

# One source makes one tarball: make check-dist.
EXTRA_DIST += tests/house/dist.sh
check-dist: dist-gzip
	@top_srcdir='$(abs_top_srcdir)' top_builddir='$(abs_top_builddir)' MAKE='$(MAKE)' $(SHELL) $(top_srcdir)/tests/house/dist.sh
.PHONY: check-dist

# All tests on a machine of a distribution, from the tarball: make check-packager.
EXTRA_DIST += tests/house/packager.sh
check-packager: dist-gzip
	@$(SHELL) $(top_srcdir)/tests/house/packager.sh '$(abs_top_builddir)/$(distdir).tar.gz' $(PACKAGER_OPTIONS)
.PHONY: check-packager

# The same for root, for somebody, without vendors' headers, with -flto=auto, as a table: make check-counts.
EXTRA_DIST += tests/house/counts.sh
check-counts: dist-gzip
	@$(SHELL) $(top_srcdir)/tests/house/counts.sh '$(abs_top_builddir)/$(distdir).tar.gz'
.PHONY: check-counts

# The unit tests as aarch64 runs them, with pages of 64 KiB: make check-cross. CROSS_OPTIONS are options of configure.
EXTRA_DIST += tests/house/cross.sh
check-cross: dist-gzip
	@$(SHELL) $(top_srcdir)/tests/house/cross.sh '$(abs_top_builddir)/$(distdir).tar.gz' $(CROSS_OPTIONS)
clean-local: clean-cross
clean-cross:
	test ! -d cross || chmod -R u+w cross
	rm -rf cross
.PHONY: check-cross clean-cross

# What was installed, tried as its users do.
installcheck-local:
	@DESTDIR='$(DESTDIR)' bindir='$(bindir)' libdir='$(libdir)' includedir='$(includedir)' mandir='$(mandir)' docdir='$(docdir)' \
	pkglibexecdir='$(pkglibexecdir)' backenddir='$(backenddir)' CC='$(CC)' CXX='$(CXX)' PKG_CONFIG='$(PKG_CONFIG)' \
	modules='$(patsubst dt2-%.la,%,$(backend_LTLIBRARIES))' $(SHELL) $(top_srcdir)/tests/house/installed.sh

# The public headers of the ABI's first number, and a program of that time.
EXTRA_DIST += \
	tests/data/abi/README \
	tests/data/abi/1/distorch2.h \
	tests/data/abi/1/distorch2/backend.h \
	tests/data/abi/1/distorch2/catalog.h \
	tests/data/abi/1/distorch2/common.h \
	tests/data/abi/1/distorch2/context.h \
	tests/data/abi/1/distorch2/device.h \
	tests/data/abi/1/distorch2/dlpack.h \
	tests/data/abi/1/distorch2/error.h \
	tests/data/abi/1/distorch2/file.h \
	tests/data/abi/1/distorch2/model.h \
	tests/data/abi/1/distorch2/plan.h \
	tests/data/abi/1/distorch2/session.h \
	tests/data/abi/1/distorch2/size.h \
	tests/data/abi/1/program.c

# All tests once more, with a line for each file instead of one for each check.
prove:
	@test -n '$(PROVE)' || { echo 'prove was not found by configure: it comes with perl' >&2; exit 1; }
	@$(MAKE) -s --no-print-directory $(AM_MAKEFLAGS) all $(check_PROGRAMS) $(check_LTLIBRARIES)
	@$(AM_TESTS_ENVIRONMENT) \
	for test in $(TESTS); do \
		if test -f "$$test"; then echo "$$test"; else echo "$(srcdir)/$$test"; fi; \
	done | $(PROVE) --jobs "$$(nproc)" --exec '$(SHELL) $(top_srcdir)/tests/support/run.sh' $(PROVEFLAGS) -
.PHONY: prove
