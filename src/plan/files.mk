# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/plan/blocks.c \
	src/plan/order.c \
	src/plan/order.h \
	src/plan/recognise.c \
	src/plan/recognise.h
