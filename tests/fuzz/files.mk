# SPDX-License-Identifier: BSD-3-Clause
# Fuzz targets: each is one source, fuzz-NAME.c, with seeds in seeds/NAME and perhaps a dictionary, NAME.dict.
FUZZ_INCLUDES = -I$(top_srcdir)/include -I$(top_srcdir)/src -I$(top_srcdir)/tests
FUZZ_ENVIRONMENT = \
	top_srcdir='$(top_srcdir)' \
	FUZZ_CFLAGS='-include config.h -I. $(FUZZ_INCLUDES) -DDT2_BACKEND_DIR="fuzz" -DDT2_BACKEND_BESIDE="fuzz" $(CPPFLAGS) $(HWLOC_CFLAGS) \
		$(JANSSON_CFLAGS) $(YAML_CFLAGS) $(XXHASH_CFLAGS) $(URING_CFLAGS)' \
	FUZZ_LIBS='$(HWLOC_LIBS) $(JANSSON_LIBS) $(YAML_LIBS) $(XXHASH_LIBS) $(URING_LIBS) $(LIBADD_DLOPEN) -pthread $(LIBS)'

FUZZ_RUN = @$(FUZZ_ENVIRONMENT) $(SHELL) $(top_srcdir)/tests/fuzz/run.sh $(libdistorch2_core_la_SOURCES) $(libdistorch2_convert_la_SOURCES)

# Builds them for hand; FUZZ_CC=afl-clang-fast builds them for AFL++.
fuzz-build: config.h
	$(FUZZ_ENVIRONMENT) $(SHELL) $(top_srcdir)/tests/fuzz/build.sh $(libdistorch2_core_la_SOURCES) $(libdistorch2_convert_la_SOURCES)

# Builds them and runs each for 20 seconds, or FUZZ_SECONDS; ends with a table.
fuzz-smoke: config.h
	$(FUZZ_RUN)

# An hour of one processor: each for 400 seconds, or FUZZ_SECONDS, one after the other, or FUZZ_JOBS at a time. What was found
# to be new is kept in fuzz/corpus, and a second run goes on from there.
fuzz: config.h
	@FUZZ_SECONDS="$${FUZZ_SECONDS:-400}"; FUZZ_JOBS="$${FUZZ_JOBS:-1}"; export FUZZ_SECONDS FUZZ_JOBS; \
	$(MAKE) $(AM_MAKEFLAGS) fuzz-smoke

clean-local: clean-fuzz
clean-fuzz:
	rm -rf fuzz
.PHONY: fuzz fuzz-build fuzz-smoke clean-fuzz

EXTRA_DIST += \
	tests/fuzz/allocation.dict \
	tests/fuzz/build.sh \
	tests/fuzz/devices-json.dict \
	tests/fuzz/fuzz-allocation.c \
	tests/fuzz/fuzz-cache.c \
	tests/fuzz/fuzz-gguf.c \
	tests/fuzz/fuzz-index.c \
	tests/fuzz/fuzz-records.c \
	tests/fuzz/gguf.dict \
	tests/fuzz/index.dict \
	tests/fuzz/model.h \
	tests/fuzz/one.sh \
	tests/fuzz/run.sh \
	tests/fuzz/seeds/allocation \
	tests/fuzz/seeds/cache \
	tests/fuzz/seeds/devices-json \
	tests/fuzz/seeds/index \
	tests/fuzz/seeds/records \
	tests/fuzz/yaml.dict
