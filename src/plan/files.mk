# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/plan/again.c \
	src/plan/auto.c \
	src/plan/auto.h \
	src/plan/blocks.c \
	src/plan/blocks.h \
	src/plan/capacity.c \
	src/plan/capacity.h \
	src/plan/cost.c \
	src/plan/cost.h \
	src/plan/pass.c \
	src/plan/pass.h \
	src/plan/predict.c \
	src/plan/predict.h \
	src/plan/predict_load.c \
	src/plan/predict_load.h \
	src/plan/claims.c \
	src/plan/draft.h \
	src/plan/families.c \
	src/plan/families.h \
	src/plan/fit.c \
	src/plan/fit.h \
	src/plan/fit_cuts.c \
	src/plan/fit_virtual.c \
	src/plan/fit_words.c \
	src/plan/grammar.c \
	src/plan/grammar.h \
	src/plan/grouping.c \
	src/plan/input.c \
	src/plan/kept.c \
	src/plan/kept.h \
	src/plan/named.c \
	src/plan/network.c \
	src/plan/network.h \
	src/plan/order.c \
	src/plan/order.h \
	src/plan/override.c \
	src/plan/override.h \
	src/plan/place.c \
	src/plan/plan.c \
	src/plan/plan.h \
	src/plan/plan_json.c \
	src/plan/plan_parse.c \
	src/plan/recognise.c \
	src/plan/recognise.h

check_PROGRAMS += tests/unit/test-grammar tests/unit/test-plan tests/unit/test-plan-properties tests/unit/test-predict tests/unit/test-auto
TESTS += tests/unit/test-grammar tests/unit/test-plan tests/unit/test-plan-properties tests/unit/test-predict tests/unit/test-auto
tests_unit_test_auto_SOURCES = tests/unit/test-auto.c tests/support/tap.h tests/support/world.h
tests_unit_test_auto_LDADD = $(TEST_LIBS)
tests_unit_test_predict_SOURCES = tests/unit/test-predict.c tests/support/tap.h tests/support/world.h
tests_unit_test_predict_LDADD = $(TEST_LIBS)
tests_unit_test_grammar_SOURCES = tests/unit/test-grammar.c tests/support/tap.h
tests_unit_test_grammar_LDADD = $(TEST_LIBS)
tests_unit_test_plan_SOURCES = tests/unit/test-plan.c tests/support/layout.h tests/support/model.h tests/support/tap.h
tests_unit_test_plan_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_plan_LDADD = $(TEST_LIBS) $(JANSSON_LIBS)
tests_unit_test_plan_properties_SOURCES = tests/unit/test-plan-properties.c tests/support/tap.h tests/support/world.h
tests_unit_test_plan_properties_LDADD = $(TEST_LIBS)
check_PROGRAMS += tests/unit/test-plan-fit
TESTS += tests/unit/test-plan-fit
tests_unit_test_plan_fit_SOURCES = tests/unit/test-plan-fit.c tests/support/tap.h tests/support/world.h
tests_unit_test_plan_fit_LDADD = $(TEST_LIBS)
EXTRA_DIST += tests/data/plans/machine.json tests/data/plans/sd15.json tests/fuzz/fuzz-plan-json.c tests/fuzz/plan-json.dict \
	tests/fuzz/seeds/plan-json
check_PROGRAMS += tests/unit/test-blocks tests/unit/test-unknown tests/unit/test-whole
TESTS += tests/unit/test-blocks tests/unit/test-unknown tests/unit/test-whole
tests_unit_test_unknown_SOURCES = tests/unit/test-unknown.c tests/support/layout.h tests/support/scratch.h
tests_unit_test_unknown_LDADD = $(TEST_LIBS)
tests_unit_test_whole_SOURCES = tests/unit/test-whole.c tests/support/layout.h tests/support/scratch.h
tests_unit_test_whole_LDADD = $(TEST_LIBS)
tests_unit_test_blocks_SOURCES = tests/unit/test-blocks.c tests/support/layout.h tests/support/scratch.h
tests_unit_test_blocks_LDADD = $(TEST_LIBS)
