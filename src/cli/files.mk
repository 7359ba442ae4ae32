# SPDX-License-Identifier: BSD-3-Clause
bin_PROGRAMS += distorch2
distorch2_SOURCES = \
	src/cli/commands.h \
	src/cli/devices.c \
	src/cli/inspect.c \
	src/cli/json.c \
	src/cli/json.h \
	src/cli/load.c \
	src/cli/main.c \
	src/cli/model.c \
	src/cli/model.h \
	src/cli/models.c \
	src/cli/nearest.c \
	src/cli/nearest.h \
	src/cli/options.c \
	src/cli/options.h \
	src/cli/plan.c \
	src/cli/progress.c \
	src/cli/progress.h \
	src/cli/report.c \
	src/cli/report.h \
	src/cli/table.c \
	src/cli/table.h \
	src/cli/term.c \
	src/cli/term.h \
	src/cli/text.c \
	src/cli/text.h
distorch2_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
distorch2_LDADD = libdistorch2.la $(JANSSON_LIBS)
