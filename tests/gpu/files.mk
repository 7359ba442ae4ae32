# SPDX-License-Identifier: BSD-3-Clause
# The CUDA and HIP drivers where there is no GPU.
TESTS += tests/gpu/declared.sh tests/gpu/entries.sh
EXTRA_DIST += tests/gpu/declared.sh tests/gpu/entries.sh tests/gpu/vendors.sh
check-vendors:
	@$(AM_TESTS_ENVIRONMENT) $(SHELL) $(top_srcdir)/tests/gpu/vendors.sh
clean-local: clean-vendors
clean-vendors:
	rm -rf vendors
.PHONY: check-vendors clean-vendors
check_PROGRAMS += tests/gpu/test-nvml
TESTS += tests/gpu/test-nvml
tests_gpu_test_nvml_SOURCES = tests/gpu/test-nvml.c tests/support/tap.h
tests_gpu_test_nvml_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/backends/gpu -iquote $(top_srcdir)/backends/cuda
if WITH_NVML
tests_gpu_test_nvml_CPPFLAGS += -DREAL_NVML $(NVML_CFLAGS)
endif

if WITH_HIP
check_LTLIBRARIES += tests/gpu/fake-library.la
tests_gpu_fake_library_la_SOURCES = tests/gpu/fake-library.c
tests_gpu_fake_library_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
check_PROGRAMS += tests/gpu/test-gpu
TESTS += tests/gpu/test-gpu
tests_gpu_test_gpu_SOURCES = tests/gpu/test-gpu.c tests/support/tap.h $(hip_sources)
tests_gpu_test_gpu_CPPFLAGS = $(HIP_CPPFLAGS)
tests_gpu_test_gpu_LDADD = $(LIBADD_DLOPEN)
endif

# Beside a program that uses the runtime itself, on the simulated machine.
caller_sources = \
	tests/gpu/caller.h \
	tests/gpu/runtime.h \
	tests/sim/cuda_headers.h \
	tests/sim/hip_headers.h \
	tests/sim/sandbox.h \
	tests/support/tap.h
if WITH_CUDA
check_PROGRAMS += tests/gpu/test-cuda-caller tests/gpu/test-cuda-capture tests/gpu/test-cuda-errors
TESTS += tests/gpu/test-cuda-caller tests/gpu/test-cuda-capture tests/gpu/test-cuda-errors
CUDA_CALLER_LIBS = $(TEST_LIBS) tests/sim/lib/libcudart.la tests/sim/lib/libcuda.la tests/sim/lib/libnvidia-ml.la \
	$(SIM_ENGINE)
tests_gpu_test_cuda_caller_SOURCES = tests/gpu/test-caller.c $(caller_sources)
tests_gpu_test_cuda_caller_CPPFLAGS = $(CUDA_TEST_CPPFLAGS)
tests_gpu_test_cuda_caller_LDADD = $(CUDA_CALLER_LIBS)
tests_gpu_test_cuda_capture_SOURCES = tests/gpu/test-capture.c $(caller_sources)
tests_gpu_test_cuda_capture_CPPFLAGS = $(CUDA_TEST_CPPFLAGS)
tests_gpu_test_cuda_capture_LDADD = $(CUDA_CALLER_LIBS)
tests_gpu_test_cuda_errors_SOURCES = tests/gpu/test-errors.c $(caller_sources)
tests_gpu_test_cuda_errors_CPPFLAGS = $(CUDA_TEST_CPPFLAGS)
tests_gpu_test_cuda_errors_LDADD = $(CUDA_CALLER_LIBS)
endif
if WITH_HIP
check_PROGRAMS += tests/gpu/test-hip-caller tests/gpu/test-hip-capture tests/gpu/test-hip-errors
TESTS += tests/gpu/test-hip-caller tests/gpu/test-hip-capture tests/gpu/test-hip-errors
HIP_CALLER_CPPFLAGS = $(HIP_TEST_CPPFLAGS) -DGPU_IS_HIP=1
HIP_CALLER_LIBS = $(TEST_LIBS) tests/sim/lib/libamdhip64.la $(SIM_ENGINE)
tests_gpu_test_hip_caller_SOURCES = tests/gpu/test-caller.c $(caller_sources)
tests_gpu_test_hip_caller_CPPFLAGS = $(HIP_CALLER_CPPFLAGS)
tests_gpu_test_hip_caller_LDADD = $(HIP_CALLER_LIBS)
tests_gpu_test_hip_capture_SOURCES = tests/gpu/test-capture.c $(caller_sources)
tests_gpu_test_hip_capture_CPPFLAGS = $(HIP_CALLER_CPPFLAGS)
tests_gpu_test_hip_capture_LDADD = $(HIP_CALLER_LIBS)
tests_gpu_test_hip_errors_SOURCES = tests/gpu/test-errors.c $(caller_sources)
tests_gpu_test_hip_errors_CPPFLAGS = $(HIP_CALLER_CPPFLAGS)
tests_gpu_test_hip_errors_LDADD = $(HIP_CALLER_LIBS)
endif

# make check-gpu: what hardware alone can show, with a report. The program is tried where there is none on simulated devices.
check_PROGRAMS += tests/gpu/hardware
tests_gpu_hardware_SOURCES = tests/gpu/hardware.c tests/support/tap.h
tests_gpu_hardware_LDADD = libdistorch2.la
TESTS += tests/gpu/hardware-tried.sh
EXTRA_DIST += tests/gpu/capture.py tests/gpu/hardware.sh tests/gpu/hardware-tried.sh
check-gpu: all tests/gpu/hardware$(EXEEXT) tests/driver/conformance$(EXEEXT) tests/support/mkmodel$(EXEEXT)
	@$(AM_TESTS_ENVIRONMENT) $(SHELL) $(top_srcdir)/tests/gpu/hardware.sh
clean-local: clean-check-gpu
clean-check-gpu:
	rm -rf check-gpu
.PHONY: check-gpu clean-check-gpu

# Two copies of a runtime, an older one of the system's and a newer one that comes with a library which needs it: one of each
# for CUDA and for HIP, by the simulator. Like torch's the library finds its own by DT_RPATH, which goes before
# LD_LIBRARY_PATH.
IMPORT_LDFLAGS = $(AM_LDFLAGS) -shared -rpath /nowhere $(DT2_NO_UNDEFINED)
IMPORT_RPATH = -Wl,--disable-new-dtags '-Wl,-rpath,$$ORIGIN/../../newer/.libs'
EXTRA_DIST += tests/gpu/import/amdhip64.map tests/gpu/import/cudart.map tests/gpu/import/import.sh
check_PROGRAMS += tests/gpu/import/importer
tests_gpu_import_importer_SOURCES = \
	tests/gpu/import/importer.c \
	tests/mixed/source.h \
	tests/support/layout.h \
	tests/support/scratch.h \
	tests/support/tap.h
tests_gpu_import_importer_LDADD = $(TEST_LIBS) $(LIBADD_DLOPEN)
TESTS += tests/gpu/import/import.sh

if WITH_CUDA
CUDART_12_LDFLAGS = $(IMPORT_LDFLAGS) -version-info 12:0:0 -Wl,--version-script=$(srcdir)/tests/gpu/import/cudart.map
cudart_12_sources = tests/sim/runtime.c tests/sim/cuda_headers.h tests/sim/cudart.h tests/sim/face.h tests/sim/sim.h
check_LTLIBRARIES += tests/gpu/import/older/libcudart.la tests/gpu/import/newer/libcudart.la \
	tests/gpu/import/lib/needs-cuda.la
tests_gpu_import_older_libcudart_la_SOURCES = $(cudart_12_sources)
tests_gpu_import_older_libcudart_la_CPPFLAGS = $(CUDA_TEST_CPPFLAGS)
tests_gpu_import_older_libcudart_la_CFLAGS = $(SIM_CFLAGS)
tests_gpu_import_older_libcudart_la_LDFLAGS = $(CUDART_12_LDFLAGS)
tests_gpu_import_older_libcudart_la_LIBADD = $(SIM_ENGINE)
tests_gpu_import_newer_libcudart_la_SOURCES = $(cudart_12_sources) tests/gpu/import/newest.c
tests_gpu_import_newer_libcudart_la_CPPFLAGS = $(CUDA_TEST_CPPFLAGS) -DDT2_NEWEST=cudaSimNewest
tests_gpu_import_newer_libcudart_la_CFLAGS = $(SIM_CFLAGS)
tests_gpu_import_newer_libcudart_la_LDFLAGS = $(CUDART_12_LDFLAGS)
tests_gpu_import_newer_libcudart_la_LIBADD = $(SIM_ENGINE)
tests_gpu_import_lib_needs_cuda_la_SOURCES = tests/gpu/import/needs.c
tests_gpu_import_lib_needs_cuda_la_CPPFLAGS = $(CUDA_TEST_CPPFLAGS) -DDT2_NEWEST=cudaSimNewest
tests_gpu_import_lib_needs_cuda_la_CFLAGS = $(SIM_CFLAGS)
tests_gpu_import_lib_needs_cuda_la_LDFLAGS = $(IMPORT_LDFLAGS) -module -avoid-version $(IMPORT_RPATH)
tests_gpu_import_lib_needs_cuda_la_LIBADD = tests/gpu/import/newer/libcudart.la
endif

if WITH_HIP
AMDHIP64_7_LDFLAGS = $(IMPORT_LDFLAGS) -version-info 7:0:0 -Wl,--version-script=$(srcdir)/tests/gpu/import/amdhip64.map
amdhip64_7_sources = \
	tests/sim/face.h \
	tests/sim/hip.c \
	tests/sim/hip.h \
	tests/sim/hip_headers.h \
	tests/sim/runtime.c \
	tests/sim/sim.h
check_LTLIBRARIES += tests/gpu/import/older/libamdhip64.la tests/gpu/import/newer/libamdhip64.la \
	tests/gpu/import/lib/needs-hip.la
tests_gpu_import_older_libamdhip64_la_SOURCES = $(amdhip64_7_sources)
tests_gpu_import_older_libamdhip64_la_CPPFLAGS = $(HIP_TEST_CPPFLAGS) -DSIM_FACE_HIP
tests_gpu_import_older_libamdhip64_la_CFLAGS = $(SIM_CFLAGS)
tests_gpu_import_older_libamdhip64_la_LDFLAGS = $(AMDHIP64_7_LDFLAGS)
tests_gpu_import_older_libamdhip64_la_LIBADD = $(SIM_ENGINE)
tests_gpu_import_newer_libamdhip64_la_SOURCES = $(amdhip64_7_sources) tests/gpu/import/newest.c
tests_gpu_import_newer_libamdhip64_la_CPPFLAGS = $(HIP_TEST_CPPFLAGS) -DSIM_FACE_HIP -DDT2_NEWEST=hipSimNewest
tests_gpu_import_newer_libamdhip64_la_CFLAGS = $(SIM_CFLAGS)
tests_gpu_import_newer_libamdhip64_la_LDFLAGS = $(AMDHIP64_7_LDFLAGS)
tests_gpu_import_newer_libamdhip64_la_LIBADD = $(SIM_ENGINE)
tests_gpu_import_lib_needs_hip_la_SOURCES = tests/gpu/import/needs.c
tests_gpu_import_lib_needs_hip_la_CPPFLAGS = $(HIP_TEST_CPPFLAGS) -DGPU_IS_HIP=1 -DDT2_NEWEST=hipSimNewest
tests_gpu_import_lib_needs_hip_la_CFLAGS = $(SIM_CFLAGS)
tests_gpu_import_lib_needs_hip_la_LDFLAGS = $(IMPORT_LDFLAGS) -module -avoid-version $(IMPORT_RPATH)
tests_gpu_import_lib_needs_hip_la_LIBADD = tests/gpu/import/newer/libamdhip64.la
endif
