# SPDX-License-Identifier: BSD-3-Clause
# make check-asan, check-ubsan, check-tsan, check-valgrind: the same tests, in a build of its own for each, under sanitize/.
# The source of those builds is a distribution of this one, so that a build in the source tree does not stand in the way; they
# are configured as this one is, and made again only where something has changed.
EXTRA_DIST += tests/sanitize/cli.sh tests/sanitize/lsan.supp tests/sanitize/valgrind.supp

# $(call sanitize,NAME,CFLAGS): configures sanitize/NAME as this build is, where that has not been done since. Compilers warn
# wrongly about instrumented code, so warnings are no errors.
sanitize = $(MKDIR_P) sanitize/$(1) && cd sanitize/$(1) && \
	{ test config.status -nt ../../config.status || \
	  eval "../src/configure --quiet $$(../../config.status --config) --disable-hardening --disable-werror CFLAGS='$(2)'"; }

sanitize-source:
	@$(MKDIR_P) sanitize
	@$(MAKE) $(AM_MAKEFLAGS) distdir distdir=sanitize/src >/dev/null

# Some tests ask for more memory than there is, to see it refused. Strict checks read each string to its end at every call, so that
# tests of very long ones do with less. hwloc's plugin for PCI devices is left out: libpciaccess keeps the machine's bus to the end,
# and nothing tells whose that was when the plugin is gone.
check-asan: sanitize-source
	@$(call sanitize,asan,-g -O1 -fsanitize=address -fno-omit-frame-pointer)
	@DT2_TEST_SLOW=10 HWLOC_PLUGINS_BLACKLIST=hwloc_pci.so ASAN_OPTIONS=allocator_may_return_null=1:detect_stack_use_after_return=1:strict_string_checks=1 \
	LSAN_OPTIONS=print_suppressions=0:suppressions='$(abs_top_builddir)/sanitize/src/tests/sanitize/lsan.supp' \
	$(MAKE) $(AM_MAKEFLAGS) -C sanitize/asan check

check-ubsan: sanitize-source
	@$(call sanitize,ubsan,-g -O1 -fsanitize=undefined -fno-sanitize-recover=undefined)
	@UBSAN_OPTIONS=print_stacktrace=1 $(MAKE) $(AM_MAKEFLAGS) -C sanitize/ubsan check

# Some tests end a program with sessions open, whose threads it does not join. PoCL is not instrumented, but its locks are those of pthreads, which are watched: no race of its own was reported so far.
check-tsan: sanitize-source
	@$(call sanitize,tsan,-g -O1 -fsanitize=thread)
	@DT2_TEST_SLOW=10 TSAN_OPTIONS=allocator_may_return_null=1:second_deadlock_stack=1:report_thread_leaks=0 \
	$(MAKE) $(AM_MAKEFLAGS) -C sanitize/tsan check

# All programs among the tests, and the commands of the tool; scripts would only watch the shell.
memcheck = $(VALGRIND) --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
	--suppressions=$(abs_top_builddir)/sanitize/src/tests/sanitize/valgrind.supp
# Not the simulator itself and what drives it step by step: its processes are ended on purpose, with things left in them.
on_simulator = tests/sim/% tests/gpu/test-cuda-caller tests/gpu/test-hip-caller
check-valgrind: sanitize-source
	@test -n '$(VALGRIND)' || { echo 'valgrind was not found by configure' >&2; exit 1; }
	@$(call sanitize,valgrind,-g -O1)
	@DT2_TEST_SLOW=10 MEMCHECK='$(memcheck)' $(MAKE) $(AM_MAKEFLAGS) -C sanitize/valgrind check \
	LOG_COMPILER='$$(LIBTOOL) --mode=execute $(memcheck)' \
	TESTS='$(filter-out $(on_simulator),$(filter $(check_PROGRAMS),$(TESTS))) tests/sanitize/cli.sh'

clean-local: clean-sanitize
clean-sanitize:
	test ! -d sanitize || chmod -R u+w sanitize
	rm -rf sanitize
.PHONY: check-asan check-ubsan check-tsan check-valgrind sanitize-source clean-sanitize
