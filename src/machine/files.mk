# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/machine/cgroup.c \
	src/machine/cgroup.h \
	src/machine/devices.c \
	src/machine/devices.h \
	src/machine/devices_find.c \
	src/machine/devices_json.c \
	src/machine/devices_parse.c \
	src/machine/discover.c \
	src/machine/discover.h \
	src/machine/host.c \
	src/machine/host.h \
	src/machine/host_copy.c \
	src/machine/host_objects.h \
	src/machine/identity.c \
	src/machine/identity.h \
	src/machine/machine.c \
	src/machine/machine.h \
	src/machine/measure.c \
	src/machine/measure.h \
	src/machine/meminfo.c \
	src/machine/meminfo.h \
	src/machine/modules.c \
	src/machine/modules.h \
	src/machine/pool.c \
	src/machine/pool.h \
	src/machine/services.c \
	src/machine/topology.c \
	src/machine/topology.h \
	src/machine/unusable.c \
	src/machine/unusable.h
