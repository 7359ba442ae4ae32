# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/machine/cgroup.c \
	src/machine/cgroup.h \
	src/machine/devices.c \
	src/machine/devices.h \
	src/machine/devices_find.c \
	src/machine/devices_json.c \
	src/machine/devices_parse.c \
	src/machine/discover.c \
	src/machine/discover.h \
	src/machine/host.c \
	src/machine/host.h \
	src/machine/host_copy.c \
	src/machine/host_objects.h \
	src/machine/identity.c \
	src/machine/identity.h \
	src/machine/machine.c \
	src/machine/machine.h \
	src/machine/measure.c \
	src/machine/measure.h \
	src/machine/meminfo.c \
	src/machine/meminfo.h \
	src/machine/modules.c \
	src/machine/modules.h \
	src/machine/pool.c \
	src/machine/pool.h \
	src/machine/services.c \
	src/machine/topology.c \
	src/machine/topology.h \
	src/machine/unusable.c \
	src/machine/unusable.h

machine_tests = \
	tests/unit/test-cgroup \
	tests/unit/test-devices \
	tests/unit/test-devices-json \
	tests/unit/test-discover \
	tests/unit/test-host \
	tests/unit/test-identity \
	tests/unit/test-topology
check_PROGRAMS += $(machine_tests)
TESTS += $(machine_tests)
tests_unit_test_cgroup_SOURCES = tests/unit/test-cgroup.c tests/support/tap.h tests/support/tree.h
tests_unit_test_cgroup_LDADD = $(TEST_LIBS)
tests_unit_test_devices_SOURCES = tests/unit/test-devices.c tests/support/tap.h
tests_unit_test_devices_LDADD = $(TEST_LIBS)
tests_unit_test_devices_json_SOURCES = tests/unit/test-devices-json.c tests/support/tap.h
tests_unit_test_devices_json_LDADD = $(TEST_LIBS)
tests_unit_test_discover_SOURCES = tests/unit/test-discover.c tests/support/tap.h tests/support/tree.h
tests_unit_test_discover_LDADD = $(TEST_LIBS)
tests_unit_test_host_SOURCES = tests/unit/test-host.c tests/support/tap.h
tests_unit_test_host_LDADD = $(TEST_LIBS)
tests_unit_test_identity_SOURCES = tests/unit/test-identity.c tests/support/tap.h
tests_unit_test_identity_LDADD = $(TEST_LIBS)
tests_unit_test_topology_SOURCES = tests/unit/test-topology.c tests/support/tap.h
tests_unit_test_topology_LDADD = $(TEST_LIBS)

EXTRA_DIST += \
	tests/data/machines/two-gpus-one-amd.json \
	tests/data/topologies/16amd64-8n2c-cpusets.xml \
	tests/data/topologies/32em64t-2n8c2t-pci-normalio.xml \
	tests/data/topologies/COPYING.hwloc \
	tests/data/topologies/README \
	tests/data/topologies/gpu-memory.xml \
	tests/data/topologies/nvidiaDGX2.xml \
	tests/data/topologies/power8gpudistances.xml \
	tests/fuzz/fuzz-devices-json.c
