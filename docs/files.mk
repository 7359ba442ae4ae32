# SPDX-License-Identifier: BSD-3-Clause
dist_man_MANS += docs/man/distorch2-driver.7
EXTRA_DIST += docs/drivers/README.md
