#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What no plan can foresee, through the command: a device that is lost in the middle, and memory that others have taken
# since the plan was made. Everything is given back, and the message has the device and the numbers.
set -u
. "${0%/*}/../support/tap.sh"
src=${top_srcdir:-.}
build=${top_builddir:-.}
show "$work/err" "$work/report"

machine() { # MORE LINES OF THE CARD BY CUDA, OF THE CARD BY HIP
    printf 'seed = 3\ndelay_us = 20\n' >"$work/machine.sim"
    printf '[gpu %s]\ndrivers = %s\nname = A card\npci = 0000:0%s:00.0\nmemory = 16MiB\n%s\n' \
        green cuda 1 "$1" red hip 2 "$2" >>"$work/machine.sim"
}

load() { # OPTIONS
    : >"$work/report"
    DISTORCH2_SIM_REPORT=$work/report "$src/tests/sim/run" "$work/machine.sim" \
        "$DISTORCH2" load "$work/model.safetensors" --reserve=cuda:0=0mb --reserve=hip:0=0mb "$@" \
        >"$work/out" 2>"$work/err"
}

says() { # PATTERN
    grep -Eq "$1" "$work/err"
}

[ -f "$build/.libs/dt2-cuda.so" ] && [ -f "$build/.libs/dt2-hip.so" ] ||
    skip_all "not both of the CUDA and HIP drivers were built"
for number in 0 1 2 3 4 5 6 7; do
    printf 'block%s.weight\tU8\t1048576\n' $number
done >"$work/layout.tsv"
"$build/tests/support/mkmodel" "$work/layout.tsv" "$work/model.safetensors" >/dev/null || exit 1
half='cuda:0,50%;hip:0,*'

machine '' ''
load --compute-device cuda:0 --expert-mode-allocations "$half" --verify
verdict $? "a load over two cards"

machine 'others_grow = 14MiB' ''
load --compute-device cuda:0 --expert-mode-allocations "$half"
test $? = 3
verdict $? "a card that others have filled since the plan was made: exit 3"
says 'cuda:0.* 4194304 bytes|4194304 bytes.* cuda:0'
verdict $? "the message has the card and how many bytes it was to take"
grep -q '^violations=0$' "$work/report"
verdict $? "everything was given back"

for calls in 4 8 12 16 20 24 28 32; do
    machine '' "lost = $calls"
    load --compute-device cuda:0 --expert-mode-allocations "$half" --verify
    code=$?
    test $code = 1 && says 'hip:0'
    verdict $? "a card that is gone with its call $calls: exit 1, and the message has the card (exit $code)"
    grep -q '^violations=0$' "$work/report"
    verdict $? "everything was given back where its driver lets it"
done

finish
