# SPDX-License-Identifier: BSD-3-Clause
# The CUDA and HIP drivers where there is no GPU.
TESTS += tests/gpu/entries.sh
EXTRA_DIST += tests/gpu/entries.sh
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
caller_sources = tests/gpu/caller.h tests/sim/sandbox.h tests/support/tap.h
if WITH_CUDA
check_PROGRAMS += tests/gpu/test-cuda-caller tests/gpu/test-cuda-errors
TESTS += tests/gpu/test-cuda-caller tests/gpu/test-cuda-errors
CUDA_CALLER_LIBS = $(TEST_LIBS) tests/sim/lib/libcudart.la tests/sim/lib/libcuda.la tests/sim/lib/libnvidia-ml.la \
	$(SIM_ENGINE)
tests_gpu_test_cuda_caller_SOURCES = tests/gpu/test-caller.c $(caller_sources)
tests_gpu_test_cuda_caller_CPPFLAGS = $(CUDA_CPPFLAGS)
tests_gpu_test_cuda_caller_LDADD = $(CUDA_CALLER_LIBS)
tests_gpu_test_cuda_errors_SOURCES = tests/gpu/test-errors.c $(caller_sources)
tests_gpu_test_cuda_errors_CPPFLAGS = $(CUDA_CPPFLAGS)
tests_gpu_test_cuda_errors_LDADD = $(CUDA_CALLER_LIBS)
endif
if WITH_HIP
check_PROGRAMS += tests/gpu/test-hip-caller tests/gpu/test-hip-errors
TESTS += tests/gpu/test-hip-caller tests/gpu/test-hip-errors
HIP_CALLER_CPPFLAGS = $(HIP_CPPFLAGS) -DGPU_IS_HIP=1
HIP_CALLER_LIBS = $(TEST_LIBS) tests/sim/lib/libamdhip64.la $(SIM_ENGINE)
tests_gpu_test_hip_caller_SOURCES = tests/gpu/test-caller.c $(caller_sources)
tests_gpu_test_hip_caller_CPPFLAGS = $(HIP_CALLER_CPPFLAGS)
tests_gpu_test_hip_caller_LDADD = $(HIP_CALLER_LIBS)
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
