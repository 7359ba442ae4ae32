# SPDX-License-Identifier: BSD-3-Clause
if WITH_OPENCL
backend_LTLIBRARIES += dt2-opencl.la
dt2_opencl_la_SOURCES = \
	backends/opencl/driver.c \
	backends/opencl/entries.h \
	backends/opencl/error.c \
	backends/opencl/event.c \
	backends/opencl/handles.c \
	backends/opencl/icds.c \
	backends/opencl/identity.c \
	backends/opencl/loader.c \
	backends/opencl/memory.c \
	backends/opencl/opencl.h \
	backends/opencl/queue.c \
	backends/opencl/sysfs.c \
	backends/opencl/wait.c
dt2_opencl_la_CFLAGS = $(AM_CFLAGS) $(OPENCL_CFLAGS)
dt2_opencl_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared $(DT2_NO_UNDEFINED)
dt2_opencl_la_LIBADD = $(LIBADD_DLOPEN)
endif
