#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# All of `make bench`. bench.sh MODEL.safetensors, in the build folder; BENCH_ROUNDS: 7 by default.
set -eu
: "${top_srcdir:=.}" "${top_builddir:=.}" "${PYTHON3:=}" "${BENCH_ROUNDS:=7}" "${POCL_DEVICES:=pthread basic}"
: "${DISTORCH2_ORACLE_VENV:=$top_builddir/oracle-venv}"
DISTORCH2_BACKEND_PATH=$top_builddir/.libs DT2_LIBRARY=$top_builddir/.libs/libdistorch2.so PYTHONDONTWRITEBYTECODE=1
export POCL_DEVICES DISTORCH2_BACKEND_PATH DT2_LIBRARY PYTHONDONTWRITEBYTECODE
model=$1 stem=${1%.safetensors}

# make_as SUFFIX SCRIPT: the model in another format, once.
make_as()
{
    [ -f "$stem.$1" ] || { "$PYTHON3" "$top_srcdir/tests/support/$2" "$model" "$stem.part" && mv "$stem.part" "$stem.$1"; }
}

# The other layout of the model.
diffusers=$stem-diffusers.safetensors
[ -f "$diffusers" ] || { "$top_builddir/tests/support/mkmodel" "$top_srcdir/tests/data/layouts/diffusers_sdxl_canny_fp16.tsv" "$stem.part" &&
                         mv "$stem.part" "$diffusers"; }
set -- "$model" "$diffusers"
if [ -n "$PYTHON3" ]; then
    make_as pth torchfile.py
    make_as gguf gguffile.py
    set -- "$@" "$stem.pth" "$stem.gguf"
fi
for path in "$@"; do
    "$top_builddir/distorch2" load "$path" --compute-device cpu --verify >/dev/null && echo "$path: every byte verified"
done
"$top_builddir/tests/bench/bench-load" -r "$BENCH_ROUNDS" "$@"
"$top_builddir/tests/support/mkmodel" "$top_srcdir/tests/data/layouts/diffusers_sd15_canny.tsv" "$stem.floats"
"$top_builddir/tests/bench/bench-cast" "$stem.floats" "$BENCH_ROUNDS"
rm -f "$stem.floats"
"$top_builddir/tests/bench/bench-header" "$(dirname "$model")"
python=$DISTORCH2_ORACLE_VENV/bin/python3
if [ -x "$python" ]; then
    "$python" "$top_srcdir/tests/bench/header.py" "$(dirname "$model")/header-100000.safetensors"
else
    echo "not measured beside the reference: make check-oracle installs it"
fi
# Sessions: on this machine's OpenCL devices, then on simulated cards whose links have so many GB/s.
"$top_builddir/tests/bench/bench-stream" "$model" "$BENCH_ROUNDS"
if [ -f "$top_builddir/.libs/dt2-cuda.so" ] && [ -f "$top_builddir/.libs/dt2-hip.so" ]; then
    export top_builddir
    "$top_builddir/tests/support/mkmodel" "$top_srcdir/tests/data/layouts/control_v11p_sd15_canny_fp16.tsv" "$stem.calls"
    sh "$top_srcdir/tests/sim/run" "$top_srcdir/tests/data/machines/links.sim" "$top_builddir/tests/bench/bench-calls" \
        "$stem.calls" cuda:0 hip:0
    rm -f "$stem.calls"
    for gbps in 0.5 1 2; do
        sed "s/^link_gbps = .*/link_gbps = $gbps/" "$top_srcdir/tests/data/machines/links.sim" >"$stem.sim"
        rounds=3 donor=
        [ $gbps != 1 ] || donor=hip:0
        [ $gbps != 0.5 ] || rounds=1 # a pass takes five seconds
        echo "simulated links of $gbps GB/s"
        # shellcheck disable=SC2086 # none, or one
        sh "$top_srcdir/tests/sim/run" "$stem.sim" "$top_builddir/tests/bench/bench-stream" "$model" $rounds $donor
    done
fi
"$top_builddir/tests/bench/bench-share" "$model" "$BENCH_ROUNDS"
sh "$top_srcdir/tests/bench/plan-time.sh" "$top_builddir/distorch2" "./$model"
"$top_builddir/tests/bench/bench-plan"
