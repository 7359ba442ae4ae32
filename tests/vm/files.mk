# SPDX-License-Identifier: BSD-3-Clause
# `make check-vm`: host memory on a machine of several NUMA nodes, which is a virtual one. Never part of the tests.
EXTRA_PROGRAMS += tests/vm/where
tests_vm_where_SOURCES = tests/vm/where.c
tests_vm_where_LDADD = libdistorch2.la
EXTRA_DIST += tests/vm/devices.sh tests/vm/disks.sh tests/vm/groups.sh tests/vm/init.sh tests/vm/nodes.sh tests/vm/run.sh tests/vm/shared.sh \
	tests/vm/systems.sh tests/vm/unbound.sh

check-vm: all tests/vm/where$(EXEEXT) tests/support/mkmodel$(EXEEXT)
	@top_srcdir='$(abs_top_srcdir)' top_builddir='$(abs_top_builddir)' $(SHELL) $(top_srcdir)/tests/vm/run.sh
.PHONY: check-vm
