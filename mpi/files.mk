# SPDX-License-Identifier: BSD-3-Clause
# configure --with-mpi: a library beside libdistorch2, which knows of no MPI, and a tool.
mpi_library_sources = \
	mpi/image.c \
	mpi/image.h \
	mpi/job.c \
	mpi/job.h \
	mpi/list.c \
	mpi/open.c
mpi_tool_sources = \
	mpi/ranks.c \
	mpi/ranks.h \
	mpi/tool.c
EXTRA_DIST += mpi/distorch2-mpi.map $(mpi_library_sources) $(mpi_tool_sources) include/distorch2-mpi.h docs/man/distorch2-mpi.1

if WITH_MPI
lib_LTLIBRARIES += libdistorch2-mpi.la
libdistorch2_mpi_la_SOURCES = $(mpi_library_sources)
libdistorch2_mpi_la_CFLAGS = $(AM_CFLAGS) $(MPI_CFLAGS)
libdistorch2_mpi_la_LIBADD = libdistorch2.la $(MPI_LIBS)
libdistorch2_mpi_la_LDFLAGS = $(AM_LDFLAGS) $(RPATH_BESIDE_LDFLAGS) -version-info 0:0:0 $(DT2_NO_UNDEFINED) \
	-Wl,--version-script=$(top_srcdir)/mpi/distorch2-mpi.map
EXTRA_libdistorch2_mpi_la_DEPENDENCIES = mpi/distorch2-mpi.map
include_HEADERS += include/distorch2-mpi.h
pkgconfig_DATA += distorch2-mpi.pc

bin_PROGRAMS += distorch2-mpi
man_MANS += docs/man/distorch2-mpi.1
distorch2_mpi_SOURCES = $(cli_sources) $(mpi_tool_sources)
distorch2_mpi_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(XXHASH_CFLAGS) $(CRYPTO_CFLAGS) $(CAIRO_CFLAGS) $(MPI_CFLAGS)
distorch2_mpi_LDFLAGS = $(AM_LDFLAGS) $(RPATH_LDFLAGS)
distorch2_mpi_LDADD = libdistorch2-mpi.la libdistorch2.la $(JANSSON_LIBS) $(XXHASH_LIBS) $(CRYPTO_LIBS) $(CAIRO_LIBS) $(MPI_LIBS)

endif

# make check tests the MPI that configure was given; make check-mpi each one that is installed, whatever configure was given.
TESTS += tests/mpi/mpi.sh
EXTRA_DIST += tests/mpi/build.sh tests/mpi/job.c tests/mpi/mpi.sh
check-mpi: all tests/support/mkmodel$(EXEEXT)
	@found=; failed=; for wrapper in mpicc.openmpi mpicc.mpich; do \
		command -v $$wrapper >/dev/null || continue; found=1; echo "# $$wrapper"; \
		$(AM_TESTS_ENVIRONMENT) MPICC=$$wrapper $(SHELL) $(top_srcdir)/tests/mpi/mpi.sh || failed=1; \
	done; \
	test -n "$$found" || { echo '1..0 # SKIP there is neither mpicc.openmpi nor mpicc.mpich (Debian: libopenmpi-dev, libmpich-dev)'; exit 0; }; \
	test -z "$$failed"
.PHONY: check-mpi
