# SPDX-License-Identifier: BSD-3-Clause
bin_PROGRAMS += distorch2
cli_sources = \
	src/cli/bench.c \
	src/cli/commands.c \
	src/cli/commands.h \
	src/cli/compare.c \
	src/cli/compare.h \
	src/cli/complete.c \
	src/cli/devices.c \
	src/cli/hash.c \
	src/cli/hash.h \
	src/cli/inspect.c \
	src/cli/inspect.h \
	src/cli/inspect_facts.c \
	src/cli/inspect_json.c \
	src/cli/inspect_page.c \
	src/cli/json.c \
	src/cli/json.h \
	src/cli/load.c \
	src/cli/load_plan.c \
	src/cli/load_plan.h \
	src/cli/model.c \
	src/cli/model.h \
	src/cli/models.c \
	src/cli/nearest.c \
	src/cli/nearest.h \
	src/cli/option_table.c \
	src/cli/option_table.h \
	src/cli/option_value.c \
	src/cli/options.c \
	src/cli/options.h \
	src/cli/picture/cairo.c \
	src/cli/picture/canvas.c \
	src/cli/picture/canvas.h \
	src/cli/picture/file.c \
	src/cli/picture/load.c \
	src/cli/picture/machine.c \
	src/cli/picture/picture.h \
	src/cli/picture/plan.c \
	src/cli/plan.c \
	src/cli/plan_bars.c \
	src/cli/plan_bars.h \
	src/cli/progress.c \
	src/cli/progress.h \
	src/cli/report.c \
	src/cli/report.h \
	src/cli/run.c \
	src/cli/saved.c \
	src/cli/saved.h \
	src/cli/shared.c \
	src/cli/table.c \
	src/cli/table.h \
	src/cli/term.c \
	src/cli/term.h \
	src/cli/text.c \
	src/cli/text.h \
	src/cli/verify.c
distorch2_SOURCES = $(cli_sources) src/cli/main.c
# SHA-256 and pictures are the tool's alone, and optional: the library depends on no cryptography, and draws nothing.
distorch2_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(XXHASH_CFLAGS) $(CRYPTO_CFLAGS) $(CAIRO_CFLAGS)
distorch2_LDFLAGS = $(AM_LDFLAGS) $(RPATH_LDFLAGS)
distorch2_LDADD = libdistorch2.la $(JANSSON_LIBS) $(XXHASH_LIBS) $(CRYPTO_LIBS) $(CAIRO_LIBS)

dist_man_MANS += docs/man/distorch2.1 docs/man/distorch2.7 docs/man/distorch2-allocation.7

# A page for each command, of what distorch2(1) says of it.
command_pages = \
	docs/man/distorch2-bench.1 \
	docs/man/distorch2-devices.1 \
	docs/man/distorch2-inspect.1 \
	docs/man/distorch2-load.1 \
	docs/man/distorch2-models.1 \
	docs/man/distorch2-plan.1 \
	docs/man/distorch2-run.1 \
	docs/man/distorch2-shared.1 \
	docs/man/distorch2-verify.1
man_MANS = $(command_pages)
command_page_sources = $(top_srcdir)/src/cli/commands.c $(top_srcdir)/docs/man/distorch2.1
$(command_pages): $(top_srcdir)/docs/man/command.awk $(command_page_sources)
	@$(MKDIR_P) docs/man
	$(AM_V_GEN)$(AWK) -v command=$(patsubst docs/man/distorch2-%.1,%,$@) -f $(top_srcdir)/docs/man/command.awk \
	$(command_page_sources) >$@-t && mv $@-t $@
EXTRA_DIST += docs/man/command.awk
CLEANFILES += $(command_pages)

# bash looks completions up by the name of the command.
bashcompletion_DATA = docs/completion/distorch2
docs/completion/distorch2: docs/completion/distorch2.bash
	@$(MKDIR_P) docs/completion
	$(AM_V_GEN)cp $(top_srcdir)/docs/completion/distorch2.bash $@
CLEANFILES += docs/completion/distorch2
dist_zshcompletion_DATA = docs/completion/_distorch2
dist_fishcompletion_DATA = docs/completion/distorch2.fish

TESTS += \
	tests/cli/catalogue.bats \
	tests/cli/completion.bats \
	tests/cli/environment.bats \
	tests/cli/drivers.bats \
	tests/cli/examples.bats \
	tests/cli/formats.bats \
	tests/cli/hash.bats \
	tests/cli/hub.bats \
	tests/cli/load.bats \
	tests/cli/measured.bats \
	tests/cli/output.bats \
	tests/cli/picture.bats \
	tests/cli/carried.bats \
	tests/cli/plan.bats \
	tests/cli/run.bats \
	tests/cli/share.bats \
	tests/cli/usage.bats \
	tests/cli/whole.bats
EXTRA_DIST += \
	docs/completion/distorch2.bash \
	tests/cli/catalogue.bats \
	tests/cli/completion.bats \
	tests/cli/environment.bats \
	tests/cli/drivers.bats \
	tests/cli/examples.bats \
	tests/cli/formats.bats \
	tests/cli/hash.bats \
	tests/cli/hub.bats \
	tests/cli/load.bats \
	tests/cli/measured.bats \
	tests/cli/output.bats \
	tests/cli/picture.bats \
	tests/cli/carried.bats \
	tests/cli/plan.bats \
	tests/cli/run.bats \
	tests/cli/share.bats \
	tests/cli/usage.bats \
	tests/cli/whole.bats \
	tests/data/layouts/tiny-plain.tsv \
	tests/data/layouts/tiny.tsv \
	tests/support/cli.bash \
	tests/support/safefile.py
