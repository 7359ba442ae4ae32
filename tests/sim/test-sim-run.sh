#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# tests/sim/run: what a command finds on a simulated machine, and how the simulator's findings come out.
set -u
. "${0%/*}/../support/tap.sh"
export COLUMNS=0 # tables as wide as they are
src=${top_srcdir:-.}
build=${top_builddir:-.}
machines=$src/tests/data/machines

sim() {
    DISTORCH2_SIM_REPORT=$work/report "$src/tests/sim/run" "$@" >"$work/out" 2>"$work/err"
}

says() {
    grep -q "^$1\$" "$work/report"
}

for driver in cuda hip opencl; do
    [ -f "$build/.libs/dt2-$driver.so" ] || skip_all "the driver $driver was not built"
done

sim "$machines/mixed.sim" "$DISTORCH2" devices
verdict $? "devices are listed on the mixed machine"
for device in cuda:0 cuda:1 hip:0 hip:1 opencl:0; do
    grep -q "^$device " "$work/out"
    verdict $? "$device has a row"
done
test "$(grep -c '4090' "$work/out")" = 1
verdict $? "a card that two drivers show has one row"
says 'contexts=0' && says 'seed=20260104'
verdict $? "and no context was made"

sim "$machines/small.sim" sh -c 'exit 3'
test $? = 3
verdict $? "a command's own code comes through"
DISTORCH2_SIM_FAIL='cudaGetDeviceCount 1+ unknown' sim "$machines/small.sim" "$DISTORCH2" devices
says 'injected=[1-9][0-9]*'
verdict $? "failures come from the environment as well"
echo 'nonsense' >"$work/bad.sim"
sim "$work/bad.sim" "$build/tests/driver/conformance" cuda # in its own process, unlike devices
test $? = 99 && grep -q 'bad.sim:1: ' "$work/err"
verdict $? "a machine file that is wrong is no machine"

finish
