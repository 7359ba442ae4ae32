#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# usage: skips.sh ALLOWED LOG...
#
# What tests skipped, by their logs: each skip must be one of the file ALLOWED, whose lines are "TEST: REASON", both as extended
# regular expressions. Fails where one is not, or where a log is missing.
set -u
allowed=$1
shift
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
grep -v -e '^#' -e '^$' "$allowed" >"$work/allowed" || exit 1

status=0
for log; do
    if [ -f "$log" ]; then
        sed -n 's/^SKIP: \([^ ]*\) .*# [Ss][Kk][Ii][Pp] /\1: /p; s/^SKIP: \([^ ]*\) - /\1: /p' "$log"
    else
        echo "skips.sh: there is no $log" >&2
        status=1
    fi
done >"$work/skips"
grep -vxE -f "$work/allowed" "$work/skips" | sort | uniq -c >"$work/refused"
if [ -s "$work/refused" ]; then
    echo "skipped, and not to be by $allowed:" >&2
    cat "$work/refused" >&2
    status=1
fi
echo "$(wc -l <"$work/skips") skips, $(awk '{ n += $1 } END { print n + 0 }' "$work/refused") of them not allowed"
exit $status
