#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# tests/sim/run: what a command finds on a simulated machine, and how the simulator's findings come out.
set -u
export COLUMNS=0 # tables as wide as they are
src=${top_srcdir:-.}
build=${top_builddir:-.}
machines=$src/tests/data/machines
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
count=0
failed=0

check() { # WHAT, TRUE OR FALSE
    count=$((count + 1))
    if [ "$2" = 0 ]; then
        echo "ok $count - $1"
    else
        failed=$((failed + 1))
        echo "not ok $count - $1"
        sed 's/^/# /' "$work/out" "$work/err" 2>/dev/null
    fi
}

sim() {
    DISTORCH2_SIM_REPORT=$work/report "$src/tests/sim/run" "$@" >"$work/out" 2>"$work/err"
}

says() {
    grep -q "^$1\$" "$work/report"
}

for driver in cuda hip opencl; do
    [ -f "$build/.libs/dt2-$driver.so" ] || {
        echo "1..0 # SKIP the driver $driver was not built"
        exit 0
    }
done

sim "$machines/mixed.sim" "$DISTORCH2" devices
check "devices are listed on the mixed machine" $?
for device in cuda:0 cuda:1 hip:0 hip:1 opencl:0; do
    grep -q "^$device " "$work/out"
    check "$device has a row" $?
done
test "$(grep -c '4090' "$work/out")" = 1
check "a card that two drivers show has one row" $?
says 'contexts=0' && says 'seed=20260104'
check "and no context was made" $?

sim "$machines/small.sim" sh -c 'exit 3'
test $? = 3
check "a command's own code comes through" $?
DISTORCH2_SIM_FAIL='cudaGetDeviceCount 1+ unknown' sim "$machines/small.sim" "$DISTORCH2" devices
says 'injected=[1-9][0-9]*'
check "failures come from the environment as well" $?
echo 'nonsense' >"$work/bad.sim"
sim "$work/bad.sim" "$build/tests/driver/conformance" cuda # in its own process, unlike devices
test $? = 99 && grep -q 'bad.sim:1: ' "$work/err"
check "a machine file that is wrong is no machine" $?

echo "1..$count"
[ $failed -eq 0 ]
