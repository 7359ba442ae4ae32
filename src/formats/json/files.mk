# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/formats/json/scan.c \
	src/formats/json/scan.h

check_PROGRAMS += tests/unit/test-json-scan
TESTS += tests/unit/test-json-scan
tests_unit_test_json_scan_SOURCES = tests/unit/test-json-scan.c
tests_unit_test_json_scan_LDADD = $(TEST_LIBS)
