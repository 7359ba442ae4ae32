#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Tests of simulated machines once more, where there is libcuda and no CUDA runtime: the programs of the tests bring
# their own when the driver has done without. What is counted are whole tests; what fails in one is shown.
#
# DT2_ALONE_FULL=1: all of them, instead of those that tell most in the shortest time.
set -u
src=${top_srcdir:-.}
build=${top_builddir:-.}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
count=0
failed=0
export DISTORCH2_SIM_CUDART=no

again() { # TEST, AS THE BUILD OR THE SOURCE HAS IT
    count=$((count + 1))
    case $1 in
    *.sh) sh "$src/$1" >"$work/out" 2>&1 ;;
    *) "$build/$1" >"$work/out" 2>&1 ;;
    esac
    code=$?
    checks=$(grep -c '^ok ' "$work/out")
    if [ $code -eq 0 ] && [ "$checks" -gt 0 ]; then
        echo "ok $count - $1 without a CUDA runtime: $checks checks"
    else
        echo "not ok $count - $1 without a CUDA runtime (exit $code)"
        failed=$((failed + 1))
        grep -v '^ok ' "$work/out" | sed 's/^/# /'
    fi
}

for driver in cuda hip opencl; do
    if [ ! -f "$build/.libs/dt2-$driver.so" ]; then
        echo "1..0 # SKIP the $driver driver was not built"
        exit 0
    fi
done

again tests/mixed/test-mixed
again tests/mixed/test-sessions
again tests/mixed/test-pinning
again tests/mixed/test-session-faults
again tests/failing/short.sh
again tests/failing/simulated.sh
if [ -z "${DT2_ALONE_FULL:-}" ]; then
    export DT2_MUTANTS_OF=cuda
else
    again tests/mixed/test-lasting
    again tests/mixed/test-runtimes
fi
again tests/mutants/mutants.sh
echo "1..$count"
[ $failed -eq 0 ]
