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
	src/machine/module.c \
	src/machine/module.h \
	src/machine/modules.c \
	src/machine/modules.h \
	src/machine/native.c \
	src/machine/native.h \
	src/machine/pcilink.c \
	src/machine/pcilink.h \
	src/machine/pages.c \
	src/machine/pages.h \
	src/machine/peers.c \
	src/machine/peers.h \
	src/machine/pool.c \
	src/machine/pool.h \
	src/machine/probe.c \
	src/machine/probe.h \
	src/machine/services.c \
	src/machine/steps.c \
	src/machine/steps.h \
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
	tests/unit/test-pcilink \
	tests/unit/test-topology
check_PROGRAMS += $(machine_tests)
TESTS += $(machine_tests)
tests_unit_test_cgroup_SOURCES = tests/unit/test-cgroup.c tests/support/tap.h tests/support/scratch.h
tests_unit_test_cgroup_LDADD = $(TEST_LIBS)
tests_unit_test_devices_SOURCES = tests/unit/test-devices.c tests/support/tap.h
tests_unit_test_devices_LDADD = $(TEST_LIBS)
tests_unit_test_devices_json_SOURCES = tests/unit/test-devices-json.c tests/support/tap.h
tests_unit_test_devices_json_LDADD = $(TEST_LIBS)
tests_unit_test_discover_SOURCES = tests/unit/test-discover.c tests/support/tap.h tests/support/scratch.h
tests_unit_test_discover_LDADD = $(TEST_LIBS)
tests_unit_test_host_SOURCES = tests/unit/test-host.c tests/support/scratch.h tests/support/tap.h
tests_unit_test_host_LDADD = $(TEST_LIBS)
tests_unit_test_identity_SOURCES = tests/unit/test-identity.c tests/support/tap.h
tests_unit_test_identity_LDADD = $(TEST_LIBS)
tests_unit_test_pcilink_SOURCES = tests/unit/test-pcilink.c tests/support/tap.h tests/support/scratch.h
tests_unit_test_pcilink_LDADD = $(TEST_LIBS)
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

check_PROGRAMS += tests/unit/test-services tests/unit/test-modules
TESTS += tests/unit/test-services tests/unit/test-modules
tests_unit_test_services_SOURCES = tests/unit/test-services.c tests/support/tap.h
tests_unit_test_services_LDADD = $(TEST_LIBS)
tests_unit_test_modules_SOURCES = tests/unit/test-modules.c tests/support/tap.h
tests_unit_test_modules_LDADD = $(TEST_LIBS)

# Modules for test-modules: one that is good under three names, and one for each way not to be.
FAKE_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
check_LTLIBRARIES += tests/unit/modules/libfake-vendor.la \
	tests/unit/modules/dt2-aaa.la \
	tests/unit/modules/dt2-cuda.la \
	tests/unit/modules/dt2-opencl.la \
	tests/unit/modules/dt2-absent.la \
	tests/unit/modules/dt2-empty.la \
	tests/unit/modules/dt2-broken.la \
	tests/unit/modules/dt2-uncounted.la \
	tests/unit/modules/dt2-abi.la \
	tests/unit/modules/dt2-refuses.la \
	tests/unit/modules/dt2-nosymbol.la \
	tests/unit/modules/dt2-short.la \
	tests/unit/modules/dt2-lacks.la \
	tests/unit/modules/dt2-half.la \
	tests/unit/modules/dt2-misnamed.la \
	tests/unit/modules/dt2-needs.la
# Those that end the process stand apart.
check_LTLIBRARIES += tests/unit/harmful/dt2-aborts.la tests/unit/harmful/dt2-exits.la
tests_unit_harmful_dt2_aborts_la_SOURCES = tests/unit/fake-module.c
tests_unit_harmful_dt2_aborts_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_NAME='"aborts"' -DFAKE_ABORTS
tests_unit_harmful_dt2_aborts_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_harmful_dt2_exits_la_SOURCES = tests/unit/fake-module.c
tests_unit_harmful_dt2_exits_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_NAME='"exits"' -DFAKE_EXITS
tests_unit_harmful_dt2_exits_la_LDFLAGS = $(FAKE_LDFLAGS)
check_PROGRAMS += tests/unit/test-probe
TESTS += tests/unit/test-probe
tests_unit_test_probe_SOURCES = tests/unit/test-probe.c tests/support/tap.h
tests_unit_test_probe_LDADD = $(TEST_LIBS)
tests_unit_modules_libfake_vendor_la_SOURCES = tests/unit/fake-vendor.c
tests_unit_modules_libfake_vendor_la_LDFLAGS = $(AM_LDFLAGS) -avoid-version -shared -rpath /nowhere
tests_unit_modules_dt2_aaa_la_SOURCES = tests/unit/fake-module.c
tests_unit_modules_dt2_aaa_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_NAME='"aaa"'
tests_unit_modules_dt2_aaa_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_modules_dt2_cuda_la_SOURCES = tests/unit/fake-module.c
tests_unit_modules_dt2_cuda_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_NAME='"cuda"'
tests_unit_modules_dt2_cuda_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_modules_dt2_opencl_la_SOURCES = tests/unit/fake-module.c
tests_unit_modules_dt2_opencl_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_NAME='"opencl"'
tests_unit_modules_dt2_opencl_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_modules_dt2_absent_la_SOURCES = tests/unit/fake-module.c
tests_unit_modules_dt2_absent_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_NAME='"absent"' -DFAKE_ABSENT
tests_unit_modules_dt2_absent_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_modules_dt2_empty_la_SOURCES = tests/unit/fake-module.c
tests_unit_modules_dt2_empty_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_NAME='"empty"' -DFAKE_EMPTY
tests_unit_modules_dt2_empty_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_modules_dt2_broken_la_SOURCES = tests/unit/fake-module.c
tests_unit_modules_dt2_broken_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_NAME='"broken"' -DFAKE_BROKEN
tests_unit_modules_dt2_broken_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_modules_dt2_uncounted_la_SOURCES = tests/unit/fake-module.c
tests_unit_modules_dt2_uncounted_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_NAME='"uncounted"' -DFAKE_COUNT_FAILS
tests_unit_modules_dt2_uncounted_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_modules_dt2_abi_la_SOURCES = tests/unit/fake-module.c
tests_unit_modules_dt2_abi_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_NAME='"abi"' -DFAKE_ABI
tests_unit_modules_dt2_abi_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_modules_dt2_refuses_la_SOURCES = tests/unit/fake-module.c
tests_unit_modules_dt2_refuses_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_NAME='"refuses"' -DFAKE_REFUSES
tests_unit_modules_dt2_refuses_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_modules_dt2_nosymbol_la_SOURCES = tests/unit/fake-module.c
tests_unit_modules_dt2_nosymbol_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_NAME='"nosymbol"' -DFAKE_NO_SYMBOL
tests_unit_modules_dt2_nosymbol_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_modules_dt2_short_la_SOURCES = tests/unit/fake-module.c
tests_unit_modules_dt2_short_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_NAME='"short"' -DFAKE_SHORT
tests_unit_modules_dt2_short_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_modules_dt2_lacks_la_SOURCES = tests/unit/fake-module.c
tests_unit_modules_dt2_lacks_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_NAME='"lacks"' -DFAKE_LACKS
tests_unit_modules_dt2_lacks_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_modules_dt2_half_la_SOURCES = tests/unit/fake-module.c
tests_unit_modules_dt2_half_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_NAME='"half"' -DFAKE_HALF
tests_unit_modules_dt2_half_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_modules_dt2_misnamed_la_SOURCES = tests/unit/fake-module.c
tests_unit_modules_dt2_misnamed_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_NAME='"another"'
tests_unit_modules_dt2_misnamed_la_LDFLAGS = $(FAKE_LDFLAGS)
tests_unit_modules_dt2_needs_la_SOURCES = tests/unit/fake-module.c
tests_unit_modules_dt2_needs_la_CPPFLAGS = $(AM_CPPFLAGS) -DFAKE_NAME='"needs"' -DFAKE_NEEDS_LIBRARY
# The library by its file: libtool would tell the module where to find it, and it is not to be found.
tests_unit_modules_dt2_needs_la_LDFLAGS = $(FAKE_LDFLAGS) -Wl,tests/unit/modules/.libs/libfake-vendor.so
EXTRA_tests_unit_modules_dt2_needs_la_DEPENDENCIES = tests/unit/modules/libfake-vendor.la
