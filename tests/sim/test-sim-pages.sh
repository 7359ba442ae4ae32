#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Tests that work on pages once more, on a machine whose pages have 64 KiB: DISTORCH2_SIM_PAGE, for tests/sim/run. What is counted
# are suites; what fails in one is shown.
set -u
. "${0%/*}/../support/tap.sh"
src=${top_srcdir:-.}
build=${top_builddir:-.}
machine=$src/tests/data/machines/mixed.sim
export DISTORCH2_SIM_PAGE=65536

# suite PROGRAM [ARGUMENT]...: it passes, and more than one of its checks is no skip.
suite() {
    program=$1
    shift
    "$src/tests/sim/run" "$machine" "$build/$program" "$@" >"$work/out" 2>&1
    status=$?
    passed=$(grep '^ok' "$work/out" | grep -vc ' # SKIP ')
    [ $status -ne 0 ] || [ "$passed" -gt 1 ] || status=1
    grep -v '^ok' "$work/out" >"$work/wrong"
    verdict $status "$program${1:+ $1} with pages of 64 KiB: $passed checks" "$work/wrong"
}

! grep -q -e __asan_init -e __tsan_init "$build/.libs/libdistorch2.so" 2>/dev/null || skip_all "a sanitizer maps memory by itself"
suite tests/sim/test-sim-page
for name in cgroup file host io load model pins rendezvous session share stream topology whole; do
    [ ! -x "$build/tests/unit/test-$name" ] || suite "tests/unit/test-$name"
done
for driver in cuda hip opencl; do
    [ ! -f "$build/.libs/dt2-$driver.so" ] || suite tests/driver/conformance "$driver"
done
finish
