#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds every fuzz target (see build.sh) and runs each for FUZZ_SECONDS, 20 by default, FUZZ_JOBS at a time, from its
# committed seeds and what earlier runs left in fuzz/corpus. Ends with a table; fails when one found something, which is
# then in fuzz/found.
set -eu
: "${FUZZ_CC:=clang}" "${FUZZ_SECONDS:=20}" "${FUZZ_JOBS:=$(getconf _NPROCESSORS_ONLN)}" "${top_srcdir:=.}"
export FUZZ_CC FUZZ_SECONDS top_srcdir

skip()
{
    echo "fuzz: skipped: $1"
    exit 0
}

command -v "$FUZZ_CC" >/dev/null || skip "there is no $FUZZ_CC"
mkdir -p fuzz
echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { return d && n < 0; }' >fuzz/probe.c
"$FUZZ_CC" -fsanitize=fuzzer,address,undefined fuzz/probe.c -o fuzz/probe 2>/dev/null ||
    skip "$FUZZ_CC cannot build with libFuzzer and its sanitizers (Debian: libclang-rt-dev)"

rm -rf fuzz/objects fuzz/found fuzz/logs
sh "$top_srcdir/tests/fuzz/build.sh" "$@"
mkdir -p fuzz/found fuzz/logs

targets=$(for target in "$top_srcdir"/tests/fuzz/fuzz-*.c; do
    name=$(basename "$target" .c)
    echo "${name#fuzz-}"
done)
status=0
echo "$targets" | xargs -P "$FUZZ_JOBS" -n 1 sh "$top_srcdir/tests/fuzz/one.sh" || status=1

# What the line of a log that begins with $1 says.
value()
{
    sed -n "s/$1/\\1/p" "fuzz/logs/$name" | tail -n 1
}

# Minutes are those of the processor; edges what was taken of the branches of the whole library.
printf '%-14s %12s %9s %8s %8s  %s\n' target executions minutes edges inputs found
for name in $targets; do
    found=$(find fuzz/found -name "$name-*" | wc -l)
    printf '%-14s %12s %9s %8s %8s  %s\n' "$name" "$(value '^stat::number_of_executed_units: *\([0-9]*\)$')" \
        "$(tail -n 1 "fuzz/logs/$name" | awk -F '[ms ]+' '{ printf "%.1f", $1 + $3 + ($2 + $4) / 60 }')" "$(value '.* cov: \([0-9]*\) .*')" \
        "$(value '.* corp: \([0-9]*\)\/.*')" "$([ "$found" -eq 0 ] && echo nothing || echo "$found: see fuzz/logs/$name")"
done
exit "$status"
