#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# usage: counts.sh LOG...
#
# What the tests counted: sums the lines "# count: N WHAT" of their logs by what was counted.
for log; do
    [ ! -f "$log" ] || sed -n 's/^# count: \([0-9][0-9]*\) \(.*\)/\1 \2/p' "$log"
done | awk '{ n = $1; sub(/^[0-9]+ /, ""); if (!($0 in sum)) order[++kinds] = $0; sum[$0] += n }
    END { for (i = 1; i <= kinds; i++) printf "%8d  %s\n", sum[order[i]], order[i] }'
