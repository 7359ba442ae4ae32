#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs one file of bats tests as TAP; without bats it is skipped as a whole.
if [ -z "${BATS:-}" ]; then
    echo "1..0 # SKIP bats is not installed"
    exit 0
fi
exec "$BATS" --tap "$@"
