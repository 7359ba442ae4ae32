# SPDX-License-Identifier: BSD-3-Clause
# One source, compiled for CUDA and for HIP; backends/cuda and backends/hip are what differs. No vendor library is
# linked.
gpu_sources = \
	backends/gpu/declared.h \
	backends/gpu/device.c \
	backends/gpu/driver.c \
	backends/gpu/entries.h \
	backends/gpu/error.c \
	backends/gpu/event.c \
	backends/gpu/gpu.h \
	backends/gpu/handles.c \
	backends/gpu/library.c \
	backends/gpu/memory.c \
	backends/gpu/peer.c \
	backends/gpu/queue.c \
	backends/gpu/scope.c \
	backends/gpu/trial.c
cuda_sources = $(gpu_sources) \
	backends/cuda/binding.c \
	backends/cuda/binding.h \
	backends/cuda/cuda_decl.h \
	backends/cuda/nvml.c \
	backends/cuda/nvml.h \
	backends/cuda/nvml_decl.h \
	backends/cuda/over_libcuda.c \
	backends/cuda/vendor.c \
	backends/cuda/vendor.h
hip_sources = $(gpu_sources) \
	backends/hip/hip_decl.h \
	backends/hip/sysfs.c \
	backends/hip/sysfs.h \
	backends/hip/vendor.c \
	backends/hip/vendor.h
# Ours are found in quotes alone: a vendor's header may have the name of one of them. Modules are compiled with our
# declarations alone; what drives them in tests sees the vendor's own headers, too, where configure found those.
GPU_INCLUDES = -iquote $(top_srcdir)/backends/gpu
CUDA_CPPFLAGS = $(AM_CPPFLAGS) $(GPU_INCLUDES) -iquote $(top_srcdir)/backends/cuda
HIP_CPPFLAGS = $(AM_CPPFLAGS) $(GPU_INCLUDES) -iquote $(top_srcdir)/backends/hip
CUDA_TEST_CPPFLAGS = $(CUDA_CPPFLAGS) $(CUDA_REAL_CPPFLAGS)
HIP_TEST_CPPFLAGS = $(HIP_CPPFLAGS) $(HIP_REAL_CPPFLAGS)
GPU_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared $(DT2_NO_UNDEFINED)

if WITH_CUDA
backend_LTLIBRARIES += dt2-cuda.la
dt2_cuda_la_SOURCES = $(cuda_sources)
dt2_cuda_la_CPPFLAGS = $(CUDA_CPPFLAGS)
dt2_cuda_la_LDFLAGS = $(GPU_LDFLAGS)
dt2_cuda_la_LIBADD = $(LIBADD_DLOPEN)
endif

if WITH_HIP
backend_LTLIBRARIES += dt2-hip.la
dt2_hip_la_SOURCES = $(hip_sources)
dt2_hip_la_CPPFLAGS = $(HIP_CPPFLAGS)
dt2_hip_la_LDFLAGS = $(GPU_LDFLAGS)
dt2_hip_la_LIBADD = $(LIBADD_DLOPEN)
endif
