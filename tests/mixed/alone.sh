#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Tests of simulated machines once more, where there is libcuda and no CUDA runtime: the programs of the tests bring
# their own when the driver has done without. What is counted are whole tests; what fails in one is shown.
#
# DT2_ALONE_FULL=1: all of them, instead of those that tell most in the shortest time.
set -u
. "${0%/*}/../support/tap.sh"
src=${top_srcdir:-.}
build=${top_builddir:-.}
export DISTORCH2_SIM_CUDART=no

again() { # TEST, AS THE BUILD OR THE SOURCE HAS IT
    case $1 in
    *.sh) sh "$src/$1" >"$work/all" 2>&1 ;;
    *) "$build/$1" >"$work/all" 2>&1 ;;
    esac
    code=$?
    checks=$(grep -c '^ok ' "$work/all")
    grep -v '^ok ' "$work/all" >"$work/out"
    [ $code -eq 0 ] && [ "$checks" -gt 0 ]
    verdict $? "$1 without a CUDA runtime: $checks checks"
}

for driver in cuda hip opencl; do
    [ -f "$build/.libs/dt2-$driver.so" ] || skip_all "the $driver driver was not built"
done

again tests/mixed/test-mixed
again tests/mixed/test-sessions
again tests/mixed/test-pinning
again tests/mixed/test-session-faults
again tests/failing/short.sh
if [ -z "${DT2_ALONE_FULL:-}" ]; then
    export DT2_MUTANTS_OF=cuda
else
    again tests/mixed/test-lasting
    again tests/mixed/test-runtimes
    again tests/failing/simulated.sh
fi
again tests/mutants/mutants.sh
finish
