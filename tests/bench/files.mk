# SPDX-License-Identifier: BSD-3-Clause
# `make bench`: ratios on this machine, never part of the tests. The models are made once: 2.5 GB each in bench/, as
# safetensors, and with Python as .pth and GGUF too. DISTORCH2_ORACLE_VENV, or what check-oracle left, has the reference.
EXTRA_PROGRAMS = tests/bench/bench-calls tests/bench/bench-cast tests/bench/bench-header tests/bench/bench-load tests/bench/bench-plan tests/bench/bench-share tests/bench/bench-stream
tests_bench_bench_calls_SOURCES = tests/bench/bench-calls.c tests/mixed/runtime.h tests/support/layout.h
tests_bench_bench_calls_LDADD = libdistorch2.la $(LIBADD_DLOPEN)
tests_bench_bench_cast_SOURCES = tests/bench/bench-cast.c tests/bench/limit.h
tests_bench_bench_cast_LDADD = libdistorch2.la
tests_bench_bench_header_SOURCES = tests/bench/bench-header.c tests/support/layout.h tests/support/model.h
tests_bench_bench_header_LDADD = libdistorch2.la
tests_bench_bench_load_SOURCES = tests/bench/bench-load.c tests/bench/limit.h
tests_bench_bench_load_CPPFLAGS = $(AM_CPPFLAGS)
tests_bench_bench_load_CFLAGS = $(AM_CFLAGS)
tests_bench_bench_load_LDADD = libdistorch2.la
tests_bench_bench_plan_SOURCES = tests/bench/bench-plan.c
tests_bench_bench_plan_LDADD = libdistorch2.la -lm
tests_bench_bench_share_SOURCES = tests/bench/bench-share.c
tests_bench_bench_share_LDADD = libdistorch2.la
tests_bench_bench_stream_SOURCES = tests/bench/bench-stream.c tests/mixed/runtime.h tests/support/layout.h
tests_bench_bench_stream_CPPFLAGS = $(AM_CPPFLAGS)
tests_bench_bench_stream_CFLAGS = $(AM_CFLAGS)
tests_bench_bench_stream_LDADD = libdistorch2.la $(LIBADD_DLOPEN)
if WITH_OPENCL
tests_bench_bench_stream_CPPFLAGS += -DDT2_BENCH_OPENCL -Wno-deprecated-declarations
tests_bench_bench_stream_CFLAGS += $(OPENCL_CFLAGS)
tests_bench_bench_stream_LDADD += $(OPENCL_LIBS)
tests_bench_bench_load_CPPFLAGS += -DDT2_BENCH_OPENCL -Wno-deprecated-declarations
tests_bench_bench_load_CFLAGS += $(OPENCL_CFLAGS)
tests_bench_bench_load_LDADD += $(OPENCL_LIBS)
endif
EXTRA_DIST += tests/bench/bench.sh tests/bench/header.py tests/bench/peers.py tests/bench/peers.sh tests/bench/plan-time.sh tests/bench/predictions.py tests/support/gguffile.py

BENCH_MODEL = bench/sdxl.safetensors
CLEANFILES += bench/*.safetensors bench/*.pth bench/*.gguf $(EXTRA_PROGRAMS)

$(BENCH_MODEL): tests/support/mkmodel$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) bench && \
	tests/support/mkmodel $(top_srcdir)/tests/data/layouts/sdxl_controlnet_cldm_fp16.tsv $@.part && mv $@.part $@

bench: all $(BENCH_MODEL) $(EXTRA_PROGRAMS) $(check_LTLIBRARIES)
	@top_srcdir='$(abs_top_srcdir)' top_builddir='$(abs_top_builddir)' PYTHON3='$(PYTHON3)' \
	$(SHELL) $(top_srcdir)/tests/bench/bench.sh $(BENCH_MODEL)
	@$(MAKE) -s --no-print-directory $(AM_MAKEFLAGS) bench-python

# safetensors, fastsafetensors and Run:ai's streamer beside us.
bench-peers: all $(BENCH_MODEL)
	@top_srcdir='$(abs_top_srcdir)' top_builddir='$(abs_top_builddir)' PYTHON3='$(PYTHON3)' \
	$(SHELL) $(top_srcdir)/tests/bench/peers.sh $(BENCH_MODEL)

# What plans predict beside what is measured: on this machine, and on links that are simulated.
PREDICTED_MODEL = bench/sd15.safetensors
$(PREDICTED_MODEL): tests/support/mkmodel$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) bench && \
	tests/support/mkmodel $(top_srcdir)/tests/data/layouts/control_v11p_sd15_canny_fp16.tsv $@.part && mv $@.part $@

bench-predictions: all $(PREDICTED_MODEL) $(check_LTLIBRARIES)
	@for before in '' '$(SHELL) $(abs_top_srcdir)/tests/sim/run $(abs_top_srcdir)/tests/data/machines/four-links.sim'; do \
	POCL_DEVICES='pthread basic' XDG_CACHE_HOME='$(abs_top_builddir)/bench' top_builddir='$(abs_top_builddir)' \
	DISTORCH2_BACKEND_PATH='$(abs_top_builddir)/.libs' '$(PYTHON3)' $(top_srcdir)/tests/bench/predictions.py \
	'$(abs_top_builddir)/distorch2' $(PREDICTED_MODEL) $$before || exit 1; done
.PHONY: bench bench-peers bench-predictions
