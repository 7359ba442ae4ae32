#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What make check-gpu runs, tried without hardware: it skips where there is no GPU, and passes on simulated ones.
set -u
src=${top_srcdir:-.}
build=${top_builddir:-.}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
model=$work/model.safetensors
"$build/tests/support/mkmodel" "$src/tests/data/layouts/tiny.tsv" "$model" || exit 1
echo 1..3

result() { # NUMBER, TRUE OR FALSE, WHAT
    if [ "$2" -eq 0 ]; then
        echo "ok $1 - $3"
    else
        echo "not ok $1 - $3"
        sed 's/^/# /' "$work/out"
    fi
}

# No driver at all: nothing of this machine can be in the way.
mkdir "$work/none"
DISTORCH2_BACKEND_PATH=$work/none "$build/tests/gpu/hardware" "$model" >"$work/out" 2>&1
good=$?
[ $good -ne 0 ] || grep -q '^1\.\.0 # SKIP no GPU' "$work/out" || good=1
result 1 $good "without a GPU it skips, and says so"

if [ -f "$build/.libs/dt2-cuda.so" ] && [ -f "$build/.libs/dt2-hip.so" ] && [ -f "$build/.libs/dt2-opencl.so" ]; then
    "$src/tests/sim/run" "$src/tests/data/machines/mixed.sim" "$build/tests/gpu/hardware" "$model" >"$work/out" 2>&1
    good=$?
    checks=$(grep -c '^ok' "$work/out")
    [ "$checks" -gt 100 ] || good=1
    result 2 $good "five simulated GPUs of three makers pass $checks checks"
else
    echo "ok 2 # SKIP the drivers for CUDA, HIP and OpenCL were not all built"
fi

if [ -f "$build/.libs/dt2-opencl.so" ] && "$build/distorch2" devices | grep -q '^opencl:'; then
    DISTORCH2_CHECK_CPU=1 "$build/tests/gpu/hardware" "$model" >"$work/out" 2>&1
    result 3 $? "OpenCL on the processor passes $(grep -c '^ok' "$work/out") checks"
else
    echo "ok 3 # SKIP no OpenCL device"
fi
