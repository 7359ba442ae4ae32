# SPDX-License-Identifier: BSD-3-Clause
# Fuzz targets: each is one source, fuzz-NAME.c, with seeds in seeds/NAME and perhaps a dictionary, NAME.dict.
FUZZ_INCLUDES = -I$(top_srcdir)/include -I$(top_srcdir)/src -I$(top_srcdir)/tests
FUZZ_ENVIRONMENT = \
	top_srcdir='$(top_srcdir)' \
	FUZZ_CFLAGS='-include config.h -I. $(FUZZ_INCLUDES) -DDT2_BACKEND_DIR="fuzz" $(CPPFLAGS) $(HWLOC_CFLAGS) \
		$(JANSSON_CFLAGS) $(YAML_CFLAGS) $(XXHASH_CFLAGS)' \
	FUZZ_LIBS='$(HWLOC_LIBS) $(JANSSON_LIBS) $(YAML_LIBS) $(XXHASH_LIBS) $(LIBADD_DLOPEN) -pthread $(LIBS)'

# Builds them for hand; FUZZ_CC=afl-clang-fast builds them for AFL++.
fuzz: config.h
	$(FUZZ_ENVIRONMENT) $(SHELL) $(top_srcdir)/tests/fuzz/build.sh $(libdistorch2_core_la_SOURCES)

# Builds them and runs each for 20 seconds (FUZZ_SECONDS).
fuzz-smoke: config.h
	@$(FUZZ_ENVIRONMENT) $(SHELL) $(top_srcdir)/tests/fuzz/smoke.sh $(libdistorch2_core_la_SOURCES)

clean-local: clean-fuzz
clean-fuzz:
	rm -rf fuzz
.PHONY: fuzz fuzz-smoke clean-fuzz

EXTRA_DIST += \
	tests/fuzz/allocation.dict \
	tests/fuzz/build.sh \
	tests/fuzz/fuzz-allocation.c \
	tests/fuzz/fuzz-gguf.c \
	tests/fuzz/fuzz-index.c \
	tests/fuzz/gguf.dict \
	tests/fuzz/index.dict \
	tests/fuzz/model.h \
	tests/fuzz/seeds/allocation \
	tests/fuzz/seeds/index \
	tests/fuzz/smoke.sh
