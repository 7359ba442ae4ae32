# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/machine/modules.c \
	src/machine/modules.h \
	src/machine/services.c

