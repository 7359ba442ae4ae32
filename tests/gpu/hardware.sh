#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# make check-gpu: all that hardware alone can show, in one run, with a report to send back. Skips where there is no GPU.
# docs/hardware.md tells what it does and how long it takes. DISTORCH2_CHECK_MODEL names another model, DISTORCH2_CHECK_PYTHON
# a Python with torch; DISTORCH2_CHECK_CPU=1 lets OpenCL on the processor stand in for a GPU.
set -u
src=${top_srcdir:-.}
build=${top_builddir:-.}
folder=$build/check-gpu
report=$folder/report.txt
model=${DISTORCH2_CHECK_MODEL:-$folder/model.safetensors}
python=${DISTORCH2_CHECK_PYTHON:-python3}
mkdir -p "$folder"
: >"$report"
passed=0
failed=0
skipped=0

say() {
    printf '%s\n' "$*" | tee -a "$report"
}

# Runs one step; its output goes to the report, and what failed in it to the terminal too.
step() { # WHAT, COMMAND...
    what=$1
    shift
    say "== $what"
    begin=$(date +%s)
    "$@" >"$folder/step.out" 2>"$folder/step.err"
    code=$?
    cat "$folder/step.out" "$folder/step.err" >>"$report"
    seconds=$(($(date +%s) - begin))
    why=$(sed -n 's/^1\.\.0 # SKIP //p' "$folder/step.out")
    if [ -n "$why" ]; then
        skipped=$((skipped + 1))
        say "   skipped: $why"
    elif [ $code -eq 0 ] && ! grep -q '^not ok\|^Bail out' "$folder/step.out"; then
        passed=$((passed + 1))
        say "   passed: $(grep -c '^ok' "$folder/step.out") checks in $seconds s"
    else
        failed=$((failed + 1))
        say "   FAILED with status $code after $seconds s"
        grep -A6 '^not ok\|^Bail out' "$folder/step.out"
        tail -n 5 "$folder/step.err"
    fi
}

machine() {
    uname -srm
    sed -n 's/^model name[^:]*: /processor: /p' /proc/cpuinfo | sort | uniq -c
    sed -n 's/^MemTotal/memory/p' /proc/meminfo
    cat /proc/driver/nvidia/version 2>/dev/null
    cat /sys/module/amdgpu/version /sys/module/amdgpu/srcversion 2>/dev/null
    "$build/distorch2" --version
    "$build/distorch2" devices --measure --verbose &&
        "$build/distorch2" devices --measure --json && echo "ok 1 - the machine is listed"
}

# How long a load takes from a warm file to each device, as the tool tells it: the second time counts.
loads() {
    count=0
    for device in $("$build/distorch2" devices --json | sed -n 's/^ *"name": "\([a-z]*:[0-9]*\)",\{0,1\}$/\1/p' |
        awk '!seen[$0]++'); do
        for turn in first second; do
            "$build/distorch2" load --compute-device "$device" --virtual-vram-gb 0 "$model" || return 1
        done
        count=$((count + 1))
        echo "ok $count - $device, $turn load"
    done
}

capture() {
    "$python" -c 'import torch' 2>/dev/null || {
        echo "1..0 # SKIP $python has no torch (DISTORCH2_CHECK_PYTHON names another)"
        return
    }
    PYTHONPATH=$src/python DISTORCH2_LIBRARY=${DISTORCH2_LIBRARY:-$build/.libs/libdistorch2.so} \
        "$python" "$src/tests/gpu/capture.py" "$model"
}

if [ ! -f "$model" ]; then
    "$build/tests/support/mkmodel" "$src/tests/data/layouts/control_v11p_sd15_canny_fp16.tsv" "$model.part" &&
        mv "$model.part" "$model" || exit 1
fi
step "verified loads and sessions over every device" "$build/tests/gpu/hardware" "$model"
if [ $skipped -gt 0 ]; then
    say "1..0 # SKIP $why"
    exit 0
fi
step "the machine" machine
step "the driver contract, on every device" "$build/tests/driver/conformance"
step "loads, as the tool tells them" loads
step "torch: import order, graph capture, its streams" capture
say "$passed passed, $failed failed, $skipped skipped"
say "the report to send back: $report"
[ $failed -eq 0 ]
