# SPDX-License-Identifier: BSD-3-Clause
# `make bench`: ratios on this machine, never part of the tests. The model is made once: 2.5 GB in bench/.
EXTRA_PROGRAMS = tests/bench/bench-load
tests_bench_bench_load_SOURCES = tests/bench/bench-load.c
tests_bench_bench_load_CPPFLAGS = $(AM_CPPFLAGS)
tests_bench_bench_load_CFLAGS = $(AM_CFLAGS)
tests_bench_bench_load_LDADD = libdistorch2.la
if WITH_OPENCL
tests_bench_bench_load_CPPFLAGS += -DDT2_BENCH_OPENCL -Wno-deprecated-declarations
tests_bench_bench_load_CFLAGS += $(OPENCL_CFLAGS)
tests_bench_bench_load_LDADD += $(OPENCL_LIBS)
endif
EXTRA_DIST += tests/bench/plan-time.sh

BENCH_MODEL = bench/sdxl.safetensors
CLEANFILES += $(BENCH_MODEL) $(EXTRA_PROGRAMS)

$(BENCH_MODEL): tests/support/mkmodel$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) bench && \
	tests/support/mkmodel $(top_srcdir)/tests/data/layouts/sdxl_controlnet_cldm_fp16.tsv $@.part && mv $@.part $@

bench: all $(BENCH_MODEL) tests/bench/bench-load$(EXEEXT)
	POCL_DEVICES="$${POCL_DEVICES:-pthread basic}" DISTORCH2_BACKEND_PATH='$(abs_top_builddir)/.libs' \
	tests/bench/bench-load $(BENCH_MODEL)
	$(SHELL) $(top_srcdir)/tests/bench/plan-time.sh ./distorch2 ./$(BENCH_MODEL)
.PHONY: bench
