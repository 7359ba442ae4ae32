# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/model/admission.c \
	src/model/blocks.c \
	src/model/context.c \
	src/model/loading.c \
	src/model/measure.c \
	src/model/measure.h \
	src/model/memory.c \
	src/model/model.c \
	src/model/model.h \
	src/model/sharing.c \
	src/model/speeds.c \
	src/model/speeds.h \
	src/model/table.c

check_PROGRAMS += tests/unit/test-belong tests/unit/test-model
TESTS += tests/unit/test-belong tests/unit/test-model
check_PROGRAMS += tests/unit/test-grouping tests/unit/test-speeds tests/unit/test-stored
TESTS += tests/unit/test-grouping tests/unit/test-speeds tests/unit/test-stored
tests_unit_test_speeds_SOURCES = tests/unit/test-speeds.c tests/support/scratch.h tests/support/tap.h
tests_unit_test_speeds_LDADD = $(TEST_LIBS)
tests_unit_test_stored_SOURCES = tests/unit/test-stored.c tests/support/layout.h tests/support/scratch.h tests/support/tap.h
tests_unit_test_stored_LDADD = $(TEST_LIBS)
tests_unit_test_grouping_SOURCES = tests/unit/test-grouping.c tests/support/layout.h tests/support/scratch.h tests/support/tap.h
tests_unit_test_grouping_LDADD = $(TEST_LIBS)
tests_unit_test_belong_SOURCES = tests/unit/test-belong.c tests/support/layout.h tests/support/scratch.h tests/support/tap.h
tests_unit_test_belong_LDADD = $(TEST_LIBS)
tests_unit_test_model_SOURCES = tests/unit/test-model.c tests/support/layout.h tests/support/opencl.h tests/support/scratch.h tests/support/tap.h
tests_unit_test_model_LDADD = $(TEST_LIBS)
