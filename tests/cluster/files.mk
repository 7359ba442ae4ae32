# SPDX-License-Identifier: BSD-3-Clause
# `make check-cluster`: docs/cluster.md on a cluster of two nodes that is made for it. Never part of the tests.
EXTRA_DIST += tests/cluster/run.sh

check-cluster: all tests/support/mkmodel$(EXEEXT)
	@top_srcdir='$(abs_top_srcdir)' top_builddir='$(abs_top_builddir)' $(SHELL) $(top_srcdir)/tests/cluster/run.sh
.PHONY: check-cluster
