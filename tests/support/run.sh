#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs one test, whatever it is, as `make check` would; for prove.
case $1 in
*.bats) exec "${SHELL:-/bin/sh}" "${0%/*}/bats.sh" "$@" ;;
*.py) exec "${SHELL:-/bin/sh}" "${0%/*}/python.sh" "$@" ;;
*.sh) exec "${SHELL:-/bin/sh}" "$@" ;;
*) exec "$@" ;;
esac
