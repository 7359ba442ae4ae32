#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The median time of a whole `distorch2 plan` on a warm file, without driver modules. plan-time.sh TOOL MODEL
set -eu
tool=$1
model=$2
DISTORCH2_BACKEND_PATH=
export DISTORCH2_BACKEND_PATH
i=0
while [ $i -lt 21 ]; do
    begin=$(date +%s%N)
    "$tool" plan "$model" --compute-device cpu >/dev/null 2>&1
    end=$(date +%s%N)
    echo $(((end - begin) / 1000))
    i=$((i + 1))
done | sort -n | awk '{ t[NR] = $1 }
    END { printf "%-34s %6.1f ms (%.1f..%.1f; below 30 wanted, the shell wrapper of an uninstalled tree included)\n",
          "distorch2 plan, a whole process", t[int((NR + 1) / 2)] / 1000, t[1] / 1000, t[NR] / 1000 }'
