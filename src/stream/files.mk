# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/stream/dlpack.c \
	src/stream/gear.c \
	src/stream/order.c \
	src/stream/order.h \
	src/stream/route.c \
	src/stream/session.c \
	src/stream/stream.h \
	src/stream/units.c \
	src/stream/window.c \
	src/stream/window.h
