#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds every fuzz target (see build.sh) and runs each for FUZZ_SECONDS, 20 by default, from its committed seeds.
# Ends with a line for each; fails when one found something, and keeps what it found in fuzz/found.
set -eu
: "${FUZZ_CC:=clang}" "${FUZZ_SECONDS:=20}" "${top_srcdir:=.}"
export FUZZ_CC top_srcdir

skip()
{
    echo "fuzz-smoke: skipped: $1"
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

# The folders that a target starts from.
seeds_of()
{
    data=$top_srcdir/tests/data
    case $1 in
    devices-json) set -- machines ;;
    legacy | zip) set -- pytorch ;;
    esac
    for folder in "$top_srcdir/tests/fuzz/seeds/$1" "$data/$1" "$data/hostile/$1"; do
        [ ! -d "$folder" ] || printf '%s\n' "$folder"
    done
}

status=0
for target in "$top_srcdir"/tests/fuzz/fuzz-*.c; do
    name=$(basename "$target" .c) name=${name#fuzz-}
    log=fuzz/logs/$name dictionary=$top_srcdir/tests/fuzz/$name.dict corpus=$(mktemp -d)
    [ "$name" != legacy ] || dictionary=$top_srcdir/tests/fuzz/pickle.dict
    set -- -max_total_time="$FUZZ_SECONDS" -print_final_stats=1 -rss_limit_mb=1024 -timeout=10 \
        -artifact_prefix="fuzz/found/$name-"
    [ ! -f "$dictionary" ] || set -- "$@" -dict="$dictionary"
    found=0
    # shellcheck disable=SC2046 # names of folders of this tree hold no spaces beyond those of the build
    "fuzz/$name" "$@" "$corpus" $(seeds_of "$name") >"$log" 2>&1 || found=1
    rm -rf "$corpus"
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    if [ "$found" = 1 ]; then
        status=1
        echo "$name: FAILED; fuzz/logs/$name tells why"
        grep -E 'ERROR|SUMMARY|runtime error' "$log" || tail -n 5 "$log"
    else
        echo "$name: ${runs:-no} executions in $FUZZ_SECONDS s, coverage ${coverage:-none}"
    fi
done
exit "$status"
