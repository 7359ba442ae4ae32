# SPDX-License-Identifier: BSD-3-Clause
# Mutants of the drivers, of the loader, of sessions and of what processes share: each patch is one mistake, made in a copy of one source
# file when the test runs, and must be caught by the report, or the test, that it names.
mutants = \
	tests/mutants/capture-mode-kept.patch \
	tests/mutants/capture-not-asked.patch \
	tests/mutants/cl-buffer-kept-on-failure.patch \
	tests/mutants/cl-event-kept.patch \
	tests/mutants/cl-marker-not-awaited.patch \
	tests/mutants/cl-waits-by-spinning.patch \
	tests/mutants/context-kept-on-failure.patch \
	tests/mutants/event-kept.patch \
	tests/mutants/event-kept-on-failure.patch \
	tests/mutants/event-not-recorded.patch \
	tests/mutants/last-error-eaten.patch \
	tests/mutants/memory-kept-on-failure.patch \
	tests/mutants/peer-verdict-guessed.patch \
	tests/mutants/pledge-not-struck.patch \
	tests/mutants/pledge-of-the-dead.patch \
	tests/mutants/queue-kept.patch \
	tests/mutants/queue-not-awaited.patch \
	tests/mutants/session-arrival-event-kept.patch \
	tests/mutants/session-arrival-not-awaited.patch \
	tests/mutants/session-arrival-recorded-early.patch \
	tests/mutants/session-evict-held.patch \
	tests/mutants/session-evict-not-copied.patch \
	tests/mutants/session-evict-readers-not-awaited.patch \
	tests/mutants/session-pinned-kept.patch \
	tests/mutants/session-reader-not-awaited.patch \
	tests/mutants/session-relay-not-awaited.patch \
	tests/mutants/session-relay-slot-reused-early.patch \
	tests/mutants/session-release-not-recorded.patch \
	tests/mutants/session-streams-not-ordered.patch \
	tests/mutants/session-window-freed-early.patch \
	tests/mutants/share-can-be-written.patch \
	tests/mutants/share-gathers-beyond.patch \
	tests/mutants/share-half-filled-kept.patch \
	tests/mutants/share-others-punched.patch \
	tests/mutants/share-room-not-the-one.patch \
	tests/mutants/share-seals-not-asked.patch \
	tests/mutants/share-start-not-compared.patch \
	tests/mutants/share-time-of-change-left-out.patch \
	tests/mutants/slot-event-kept.patch \
	tests/mutants/slot-reused-early.patch \
	tests/mutants/slots-freed-early.patch \
	tests/mutants/speeds-not-locked.patch \
	tests/mutants/touches-memory.patch \
	tests/mutants/wrong-device-copies.patch \
	tests/mutants/wrong-device-events.patch
EXTRA_DIST += $(mutants) tests/mutants/mutants.sh
TESTS += tests/mutants/mutants.sh
check_PROGRAMS += tests/mutants/subject tests/mutants/sessions tests/mutants/moving
tests_mutants_subject_SOURCES = tests/mutants/subject.c tests/failing/work.c tests/failing/work.h tests/support/tap.h
tests_mutants_subject_LDADD = $(TEST_LIBS)
mutants_passes = \
	tests/failing/work.c \
	tests/failing/work.h \
	tests/mixed/runtime.h \
	tests/mutants/passes.h \
	tests/support/tap.h
tests_mutants_sessions_SOURCES = $(mutants_passes) tests/mutants/sessions.c
tests_mutants_sessions_LDADD = $(TEST_LIBS) $(LIBADD_DLOPEN)
tests_mutants_moving_SOURCES = $(mutants_passes) tests/mutants/moving.c
tests_mutants_moving_LDADD = $(TEST_LIBS) $(LIBADD_DLOPEN)

MUTANT_OPENCL = $(AM_CPPFLAGS) -iquote $(top_srcdir)/backends/opencl $(OPENCL_CFLAGS)
# How one source file is compiled, and what is made of it: shell functions, since only make knows the flags.
mutant_cc = $(CC) $(DEFS) $(DEFAULT_INCLUDES)
mutant_cflags = $(CPPFLAGS) $(AM_CFLAGS) $(CFLAGS) -w -fPIC -c "$$@"
check_DATA = tests/mutants/build.env
CLEANFILES += tests/mutants/build.env
tests/mutants/build.env: Makefile
	@$(MKDIR_P) tests/mutants
	$(AM_V_GEN)$(file >$@,compile_cuda() { $(mutant_cc) $(CUDA_CPPFLAGS) $(mutant_cflags); })
	@$(file >>$@,compile_hip() { $(mutant_cc) $(HIP_CPPFLAGS) $(mutant_cflags); })
	@$(file >>$@,compile_opencl() { $(mutant_cc) $(MUTANT_OPENCL) $(mutant_cflags); })
	@$(file >>$@,compile_core() { $(mutant_cc) $(AM_CPPFLAGS) $(libdistorch2_core_la_CFLAGS) $(mutant_cflags); })
	@$(file >>$@,link_module() { $(CC) $(CFLAGS) -shared $(LDFLAGS) "$$@" $(LIBS); })
	@$(file >>$@,link_subject() { $(CC) $(CFLAGS) $(AM_LDFLAGS) $(LDFLAGS) "$$@" $(filter-out %.la,$(libdistorch2_core_la_LIBADD)) $(LIBS); })
	@touch $@
