# SPDX-License-Identifier: BSD-3-Clause
# A part of init.sh: file systems, and disks that fail, stall and recover.
# shellcheck shell=sh disable=SC2154 # count
