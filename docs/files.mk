# SPDX-License-Identifier: BSD-3-Clause
dist_man_MANS += docs/man/distorch2-driver.7 docs/man/distorch2-driver-conformance.1

# What people read, and the example programs, which the tests build with the public headers alone, as users do, and run.
# The tool's pages and its completion are in src/cli/files.mk.
dist_doc_DATA = \
	README \
	docs/architecture.md \
	docs/commands.md \
	docs/embedding.md \
	docs/formats.md \
	docs/hardware.md \
	docs/packaging.md \
	docs/pictures.md \
	docs/cluster.md \
	docs/comfyui.md \
	docs/comfyui.png \
	docs/python.md

# The pictures of docs/pictures.md: make pictures.
picturesdir = $(docdir)/pictures
pictures = load.svg load.png plan-1.svg plan-1.png plan-3.svg plan-3.png plan-8.svg plan-8.png
dist_pictures_DATA = $(pictures:%=docs/pictures/%)
EXTRA_DIST += docs/pictures/make.sh
pictures: distorch2 tests/support/mkmodel
	$(SHELL) $(srcdir)/docs/pictures/make.sh '$(abs_top_srcdir)' '$(abs_top_builddir)'
.PHONY: pictures

driversdir = $(docdir)/drivers
dist_drivers_DATA = docs/drivers/README.md

machinesdir = $(docdir)/machines
dist_machines_DATA = \
	docs/machines/README.md \
	docs/machines/apu.json \
	docs/machines/cgroup-limit.json \
	docs/machines/dgx-2.json \
	docs/machines/laptop-integrated.json \
	docs/machines/nvidia-amd-workstation.json \
	docs/machines/two-socket-4-gpus.json

examplesdir = $(docdir)/examples
dist_examples_DATA = \
	docs/examples/diffusers_controlnet.py \
	docs/examples/engine.c \
	docs/examples/load.c \
	docs/examples/plan.c \
	docs/examples/read.c \
	docs/examples/stream.c

EXAMPLE_CPPFLAGS = -I$(top_srcdir)/include
EXAMPLE_CFLAGS = -std=c11 $(DT2_WARN_CFLAGS) $(DT2_HARDEN_CFLAGS)
check_PROGRAMS += docs/examples/load docs/examples/plan docs/examples/read docs/examples/stream
docs_examples_load_SOURCES = docs/examples/load.c
docs_examples_load_CPPFLAGS = $(EXAMPLE_CPPFLAGS)
docs_examples_load_CFLAGS = $(EXAMPLE_CFLAGS)
docs_examples_load_LDADD = libdistorch2.la
docs_examples_plan_SOURCES = docs/examples/plan.c
docs_examples_plan_CPPFLAGS = $(EXAMPLE_CPPFLAGS)
docs_examples_plan_CFLAGS = $(EXAMPLE_CFLAGS)
docs_examples_plan_LDADD = libdistorch2.la
docs_examples_read_SOURCES = docs/examples/read.c
docs_examples_read_CPPFLAGS = $(EXAMPLE_CPPFLAGS)
docs_examples_read_CFLAGS = $(EXAMPLE_CFLAGS)
docs_examples_read_LDADD = libdistorch2.la
docs_examples_stream_SOURCES = docs/examples/stream.c
docs_examples_stream_CPPFLAGS = $(EXAMPLE_CPPFLAGS)
docs_examples_stream_CFLAGS = $(EXAMPLE_CFLAGS)
docs_examples_stream_LDADD = libdistorch2.la

if WITH_OPENCL
check_PROGRAMS += docs/examples/engine
docs_examples_engine_SOURCES = docs/examples/engine.c
docs_examples_engine_CPPFLAGS = $(EXAMPLE_CPPFLAGS)
docs_examples_engine_CFLAGS = $(EXAMPLE_CFLAGS) $(OPENCL_CFLAGS)
docs_examples_engine_LDADD = libdistorch2.la $(OPENCL_LIBS)
endif

docs_tests = tests/docs/blocks.py tests/docs/examples.sh tests/docs/keys.py
TESTS += $(docs_tests)
EXTRA_DIST += $(docs_tests)
