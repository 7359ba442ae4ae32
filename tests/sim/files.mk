# SPDX-License-Identifier: BSD-3-Clause
# The simulated vendor runtimes. They are built beside one another in tests/sim/lib/.libs, which goes before the real
# ones in the library path (tests/sim/run does that). libtool makes the vendors' sonames of the version numbers.
SIM_CFLAGS = $(AM_CFLAGS) -fvisibility=default
SIM_LDFLAGS = $(AM_LDFLAGS) -shared -rpath /nowhere $(DT2_NO_UNDEFINED)
SIM_FACE_LDFLAGS = $(SIM_LDFLAGS) '-Wl,-rpath,$$ORIGIN'
SIM_ENGINE = tests/sim/lib/libdt2sim.la

# Loaded once, it stays: what it knows is for the whole process.
check_LTLIBRARIES += tests/sim/lib/libdt2sim.la
tests_sim_lib_libdt2sim_la_SOURCES = \
	tests/sim/capture.c \
	tests/sim/command.c \
	tests/sim/context.c \
	tests/sim/engine.c \
	tests/sim/engine.h \
	tests/sim/machine.c \
	tests/sim/memory.c \
	tests/sim/order.c \
	tests/sim/report.c \
	tests/sim/sim.h \
	tests/sim/stream.c \
	tests/sim/sysfs.c
tests_sim_lib_libdt2sim_la_CFLAGS = $(SIM_CFLAGS)
tests_sim_lib_libdt2sim_la_LDFLAGS = $(SIM_LDFLAGS) -avoid-version -Wl,-z,nodelete

check_LTLIBRARIES += tests/sim/lib/libnvidia-ml.la
tests_sim_lib_libnvidia_ml_la_SOURCES = tests/sim/nvml.c tests/sim/sim.h
tests_sim_lib_libnvidia_ml_la_CFLAGS = $(SIM_CFLAGS)
tests_sim_lib_libnvidia_ml_la_LDFLAGS = $(SIM_FACE_LDFLAGS) -version-info 1:0:0
tests_sim_lib_libnvidia_ml_la_LIBADD = $(SIM_ENGINE)

if WITH_CUDA
check_LTLIBRARIES += tests/sim/lib/libcudart.la tests/sim/lib/libcuda.la
tests_sim_lib_libcudart_la_SOURCES = \
	tests/sim/cuda_headers.h \
	tests/sim/cudart.h \
	tests/sim/face.h \
	tests/sim/runtime.c \
	tests/sim/sim.h
tests_sim_lib_libcudart_la_CPPFLAGS = $(CUDA_TEST_CPPFLAGS)
tests_sim_lib_libcudart_la_CFLAGS = $(SIM_CFLAGS)
tests_sim_lib_libcudart_la_LDFLAGS = $(SIM_FACE_LDFLAGS) -version-info 13:0:0
tests_sim_lib_libcudart_la_LIBADD = $(SIM_ENGINE)
tests_sim_lib_libcuda_la_SOURCES = \
	tests/sim/cuda.c \
	tests/sim/cuda_headers.h \
	tests/sim/cuda_work.c \
	tests/sim/libcuda.h \
	tests/sim/sim.h
tests_sim_lib_libcuda_la_CPPFLAGS = $(CUDA_TEST_CPPFLAGS)
tests_sim_lib_libcuda_la_CFLAGS = $(SIM_CFLAGS)
tests_sim_lib_libcuda_la_LDFLAGS = $(SIM_FACE_LDFLAGS) -version-info 1:0:0
tests_sim_lib_libcuda_la_LIBADD = $(SIM_ENGINE)

check_PROGRAMS += tests/sim/test-sim-capture tests/sim/test-sim-cuda tests/sim/test-sim-streams
TESTS += tests/sim/test-sim-capture tests/sim/test-sim-cuda tests/sim/test-sim-streams
tests_sim_test_sim_capture_SOURCES = tests/sim/test-sim-capture.c tests/sim/cuda_headers.h tests/sim/sandbox.h tests/support/tap.h
tests_sim_test_sim_capture_CPPFLAGS = $(CUDA_TEST_CPPFLAGS)
tests_sim_test_sim_capture_LDADD = tests/sim/lib/libcudart.la $(SIM_ENGINE)
tests_sim_test_sim_cuda_SOURCES = tests/sim/test-sim-cuda.c tests/sim/cuda_headers.h tests/sim/sandbox.h tests/support/tap.h
tests_sim_test_sim_cuda_CPPFLAGS = $(CUDA_TEST_CPPFLAGS)
tests_sim_test_sim_cuda_LDADD = tests/sim/lib/libcudart.la tests/sim/lib/libcuda.la tests/sim/lib/libnvidia-ml.la \
	$(SIM_ENGINE)
tests_sim_test_sim_streams_SOURCES = tests/sim/test-sim-streams.c tests/sim/cuda_headers.h tests/sim/sandbox.h tests/support/tap.h
tests_sim_test_sim_streams_CPPFLAGS = $(CUDA_TEST_CPPFLAGS)
tests_sim_test_sim_streams_LDADD = tests/sim/lib/libcudart.la $(SIM_ENGINE)
endif

if WITH_HIP
check_LTLIBRARIES += tests/sim/lib/libamdhip64.la
tests_sim_lib_libamdhip64_la_SOURCES = \
	tests/sim/face.h \
	tests/sim/hip.c \
	tests/sim/hip.h \
	tests/sim/hip_headers.h \
	tests/sim/runtime.c \
	tests/sim/sim.h
tests_sim_lib_libamdhip64_la_CPPFLAGS = $(HIP_TEST_CPPFLAGS) -DSIM_FACE_HIP
tests_sim_lib_libamdhip64_la_CFLAGS = $(SIM_CFLAGS)
tests_sim_lib_libamdhip64_la_LDFLAGS = $(SIM_FACE_LDFLAGS) -version-info 5:0:0
tests_sim_lib_libamdhip64_la_LIBADD = $(SIM_ENGINE)

check_PROGRAMS += tests/sim/test-sim-hip
TESTS += tests/sim/test-sim-hip
tests_sim_test_sim_hip_SOURCES = tests/sim/test-sim-hip.c tests/sim/hip_headers.h tests/sim/sandbox.h tests/support/tap.h
tests_sim_test_sim_hip_CPPFLAGS = $(HIP_TEST_CPPFLAGS)
tests_sim_test_sim_hip_LDADD = tests/sim/lib/libamdhip64.la $(SIM_ENGINE)
endif

# A driver for the real ICD loader: of OpenCL's names it exports what the loader looks for, nothing else.
if WITH_OPENCL
check_LTLIBRARIES += tests/sim/lib/libdt2sim-opencl.la
tests_sim_lib_libdt2sim_opencl_la_SOURCES = \
	tests/sim/opencl.c \
	tests/sim/opencl.h \
	tests/sim/opencl_command.c \
	tests/sim/opencl_objects.c \
	tests/sim/sim.h
tests_sim_lib_libdt2sim_opencl_la_CFLAGS = $(AM_CFLAGS) $(OPENCL_CFLAGS)
tests_sim_lib_libdt2sim_opencl_la_LDFLAGS = $(SIM_FACE_LDFLAGS) -module -avoid-version
tests_sim_lib_libdt2sim_opencl_la_LIBADD = $(SIM_ENGINE)

check_PROGRAMS += tests/sim/test-sim-opencl
TESTS += tests/sim/test-sim-opencl
tests_sim_test_sim_opencl_SOURCES = tests/sim/test-sim-opencl.c tests/sim/sandbox.h tests/support/tap.h
tests_sim_test_sim_opencl_CFLAGS = $(AM_CFLAGS) $(OPENCL_CFLAGS)
tests_sim_test_sim_opencl_LDADD = $(OPENCL_LIBS) $(SIM_ENGINE)
endif

# A kernel with larger pages, for tests that work on them.
check_LTLIBRARIES += tests/sim/lib/libdt2sim-pages.la
tests_sim_lib_libdt2sim_pages_la_SOURCES = tests/sim/pages.c
tests_sim_lib_libdt2sim_pages_la_CFLAGS = $(SIM_CFLAGS)
tests_sim_lib_libdt2sim_pages_la_LDFLAGS = $(SIM_LDFLAGS) -module -avoid-version
tests_sim_lib_libdt2sim_pages_la_LIBADD = $(LIBADD_DLOPEN)
check_PROGRAMS += tests/sim/test-sim-page
tests_sim_test_sim_page_SOURCES = tests/sim/test-sim-page.c tests/support/tap.h

TESTS += tests/sim/test-sim-pages.sh tests/sim/test-sim-run.sh
EXTRA_DIST += \
	tests/data/machines/four-cuda.sim \
	tests/data/machines/four-links.sim \
	tests/data/machines/growing.sim \
	tests/data/machines/late.sim \
	tests/data/machines/liars.sim \
	tests/data/machines/links.sim \
	tests/data/machines/lost.sim \
	tests/data/machines/mig.sim \
	tests/data/machines/mixed.sim \
	tests/data/machines/slow-queries.sim \
	tests/data/machines/small.sim \
	tests/sim/README \
	tests/sim/run \
	tests/sim/test-sim-pages.sh \
	tests/sim/test-sim-run.sh
