# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/model/admission.c \
	src/model/context.c \
	src/model/loading.c \
	src/model/model.c \
	src/model/model.h \
	src/model/table.c
