#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The driver conformance suite on simulated devices, that of CUDA with its runtime and by libcuda alone. What is counted
# are suites; what fails in one is shown.
set -u
src=${top_srcdir:-.}
build=${top_builddir:-.}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
count=0
failed=0

suite() { # RUNTIME MACHINE DEVICES DRIVER...
    runtime=$1
    machine=$2
    devices=$3
    shift 3
    count=$((count + 1))
    : >"$work/report"
    DISTORCH2_SIM_CUDART=$runtime DISTORCH2_SIM_REPORT=$work/report "$src/tests/sim/run" \
        "$src/tests/data/machines/$machine.sim" "$build/tests/driver/conformance" "$@" >"$work/out" 2>"$work/err"
    code=$?
    said=$(sed -n "s/^# \([0-9]* entries on $devices devices\)\$/\1/p" "$work/out")
    spins=$(sed -n 's/^spins=//p' "$work/report")
    if [ $code -eq 0 ] && [ -n "$said" ] && [ "$spins" = 0 ]; then
        echo "ok $count - $* ($runtime runtime) on $machine.sim: $said, no violation, and nobody spins"
    else
        echo "not ok $count - $* ($runtime runtime) on $machine.sim: $devices devices were to be checked, and nobody to spin ($spins)"
        failed=$((failed + 1))
        sed 's/^/# /' "$work/err"
        grep -A3 '^not ok\|^# [0-9]* entries' "$work/out" | sed 's/^/# /'
    fi
    [ -z "$said" ] || echo "# count: ${said%% *} entries of the contract called, over all devices"
}

for driver in cuda hip opencl; do
    if [ ! -f "$build/.libs/dt2-$driver.so" ]; then
        echo "1..0 # SKIP the $driver driver was not built"
        exit 0
    fi
done

suite named four-cuda 4 cuda
suite no four-cuda 4 cuda
suite named mixed 5 hip opencl
echo "1..$count"
[ $failed -eq 0 ]
