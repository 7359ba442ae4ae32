# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/plan/asked.c \
	src/plan/blocks.c \
	src/plan/capacity.c \
	src/plan/capacity.h \
	src/plan/claims.c \
	src/plan/draft.h \
	src/plan/grammar.c \
	src/plan/grammar.h \
	src/plan/order.c \
	src/plan/order.h \
	src/plan/place.c \
	src/plan/plan.c \
	src/plan/plan.h \
	src/plan/plan_json.c \
	src/plan/recognise.c \
	src/plan/recognise.h
