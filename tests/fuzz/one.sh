#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs one fuzz target that build.sh has built. one.sh NAME; see run.sh.
set -eu
: "${top_srcdir:=.}" "${FUZZ_SECONDS:=20}"
name=$1 log=fuzz/logs/$1 corpus=fuzz/corpus/$1
tests=$top_srcdir/tests
dictionary=$tests/fuzz/$name.dict
seeds=$name
case $name in
cache) dictionary=$tests/fuzz/devices-json.dict ;;
devices-json) seeds=machines ;;
legacy) seeds=pytorch dictionary=$tests/fuzz/pickle.dict ;;
zip) seeds=pytorch ;;
esac
[ -f "$dictionary" ] || dictionary=
mkdir -p "$corpus"
set -- -max_total_time="$FUZZ_SECONDS" -print_final_stats=1 -rss_limit_mb=1024 -timeout=10 \
    -artifact_prefix="fuzz/found/$name-" ${dictionary:+"-dict=$dictionary"} "$corpus"
for folder in "$tests/fuzz/seeds/$name" "$tests/data/$seeds" "$tests/data/hostile/$seeds"; do
    [ ! -d "$folder" ] || set -- "$@" "$folder"
done
status=0
"fuzz/$name" "$@" >"$log" 2>&1 || status=1
times >>"$log" # its last line: the target's processor time
if [ $status -ne 0 ]; then
    echo "$name: FAILED; fuzz/logs/$name tells why"
    grep -E 'ERROR|SUMMARY|runtime error' "$log" || tail -n 7 "$log"
fi
exit "$status"
