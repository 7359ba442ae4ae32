# SPDX-License-Identifier: BSD-3-Clause
# Tests that belong to no single room, and what all tests share.
EXTRA_DIST += \
	tests/support/bats.sh \
	tests/support/tap.h
