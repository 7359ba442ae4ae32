# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/catalog/catalog.c \
	src/catalog/catalog.h \
	src/catalog/hub.c \
	src/catalog/hub.h \
	src/catalog/path.c \
	src/catalog/path.h \
	src/catalog/resolve.c \
	src/catalog/scalar.c \
	src/catalog/scan.c \
	src/catalog/scan.h \
	src/catalog/seen.c \
	src/catalog/seen.h \
	src/catalog/search.c \
	src/catalog/search.h \
	src/catalog/sources.c \
	src/catalog/stamp.c \
	src/catalog/stamp.h \
	src/catalog/yaml_tree.c \
	src/catalog/yaml_tree.h

check_PROGRAMS += \
	tests/unit/test-catalog-path \
	tests/unit/test-catalog-yaml \
	tests/unit/test-catalog-search \
	tests/unit/test-catalog-scan \
	tests/unit/test-catalog-nomem
TESTS += \
	tests/unit/test-catalog-path \
	tests/unit/test-catalog-yaml \
	tests/unit/test-catalog-search \
	tests/unit/test-catalog-scan \
	tests/unit/test-catalog-nomem
tests_unit_test_catalog_path_SOURCES = tests/unit/test-catalog-path.c tests/support/tap.h
tests_unit_test_catalog_path_LDADD = $(TEST_LIBS)
tests_unit_test_catalog_yaml_SOURCES = tests/unit/test-catalog-yaml.c tests/support/lines.h tests/support/tap.h
tests_unit_test_catalog_yaml_LDADD = $(TEST_LIBS)
tests_unit_test_catalog_search_SOURCES = tests/unit/test-catalog-search.c tests/support/lines.h tests/support/tap.h \
	tests/support/scratch.h
tests_unit_test_catalog_search_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_catalog_search_LDADD = $(TEST_LIBS) $(JANSSON_LIBS)
tests_unit_test_catalog_scan_SOURCES = tests/unit/test-catalog-scan.c tests/support/lines.h tests/support/tap.h \
	tests/support/scratch.h
tests_unit_test_catalog_scan_LDADD = $(TEST_LIBS)
tests_unit_test_catalog_nomem_SOURCES = tests/unit/test-catalog-nomem.c tests/support/tap.h tests/support/scratch.h
tests_unit_test_catalog_nomem_LDADD = $(TEST_LIBS)

EXTRA_DIST += \
	tests/data/catalog/extra_model_paths.cases.json \
	tests/fuzz/fuzz-yaml.c \
	tests/fuzz/seeds/yaml/alias.yaml \
	tests/fuzz/seeds/yaml/merge.yaml \
	tests/fuzz/seeds/yaml/plain.yaml \
	tests/fuzz/seeds/yaml/wrong.yaml
