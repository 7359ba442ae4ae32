#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The driver conformance suite on simulated devices, that of CUDA with its runtime and by libcuda alone. What is counted
# are suites; what fails in one is shown.
set -u
. "${0%/*}/../support/tap.sh"
src=${top_srcdir:-.}
build=${top_builddir:-.}

suite() { # RUNTIME MACHINE DEVICES DRIVER...
    runtime=$1
    machine=$2
    devices=$3
    shift 3
    : >"$work/report"
    DISTORCH2_SIM_CUDART=$runtime DISTORCH2_SIM_REPORT=$work/report "$src/tests/sim/run" \
        "$src/tests/data/machines/$machine.sim" "$build/tests/driver/conformance" "$@" >"$work/all" 2>"$work/err"
    code=$?
    said=$(sed -n "s/^# \([0-9]* entries on $devices devices\)\$/\1/p" "$work/all")
    spins=$(sed -n 's/^spins=//p' "$work/report")
    grep -A3 '^not ok\|^# [0-9]* entries' "$work/all" >"$work/out"
    [ $code -eq 0 ] && [ -n "$said" ] && [ "$spins" = 0 ]
    verdict $? "$* ($runtime runtime) on $machine.sim: ${said:-not $devices devices}, no violation, and nobody spins: $spins"
    [ -z "$said" ] || echo "# count: ${said%% *} entries of the contract called, over all devices"
}

for driver in cuda hip opencl; do
    [ -f "$build/.libs/dt2-$driver.so" ] || skip_all "the $driver driver was not built"
done

suite named four-cuda 4 cuda
suite no four-cuda 4 cuda
suite named mixed 5 hip opencl
finish
