#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The commands of the tool under valgrind, good ones and refused ones. `make check-valgrind` runs this with MEMCHECK set.
set -u
. "${0%/*}/../support/tap.sh"
[ -n "${MEMCHECK:-}" ] || skip_all "only for make check-valgrind"
src=${top_srcdir:?}
build=${top_builddir:?}
export POCL_DEVICES='pthread basic' COMFYUI_PATH="$work/comfy"
models=$work/comfy/models/controlnet
mkdir -p "$models"
"$build/tests/support/mkmodel" "$src/tests/data/layouts/tiny.tsv" "$models/tiny.safetensors" || exit 1
cp "$models/tiny.safetensors" "$models/second.safetensors"
printf 'no model at all' >"$models/broken.safetensors"

# expect STATUS ARGUMENT...: the tool ends with STATUS, and valgrind, which would end with 9, has nothing to say.
expect() {
    wanted=$1
    shift
    # shellcheck disable=SC2086 # a command and its options
    "$build/libtool" --mode=execute $MEMCHECK "$DISTORCH2" "$@" >"$work/out" 2>&1
    got=$?
    [ $got -eq "$wanted" ]
    verdict $? "distorch2 $* ends with $wanted ($got)"
}

expect 0 --version
expect 0 --help
expect 2 plan --compute-devise cpu
expect 0 devices
expect 0 devices --json --free
expect 0 models
expect 0 models --json 'tiny*'
expect 0 inspect tiny.safetensors --tensors
expect 0 inspect --json tiny.safetensors second.safetensors
expect 1 inspect broken.safetensors
expect 4 inspect tinny.safetensors
expect 0 plan tiny.safetensors --compute-device cpu
expect 2 plan tiny.safetensors --expert-mode-allocations 'cpu,2'
expect 4 plan tiny.safetensors --expert-mode-allocations 'opencl:99,50%;cpu,*' --json
expect 0 load tiny.safetensors second.safetensors --compute-device cpu --verify --json
expect 1 load tiny.safetensors broken.safetensors --compute-device cpu --json
expect 3 load tiny.safetensors --compute-device cpu --reserve cpu=1tb
if "$DISTORCH2" devices 2>/dev/null | grep -q '^opencl:1 '; then
    "$DISTORCH2" devices --json >"$work/machine.json"
    expect 0 plan tiny.safetensors --machine "$work/machine.json" --pack --json \
        --expert-mode-allocations 'opencl:0,30%;opencl:1,30%;cpu,*'
    expect 0 load tiny.safetensors second.safetensors --compute-device opencl:0 --verify \
        --expert-mode-allocations 'opencl:0,30%;opencl:1,30%;cpu,*'
    expect 0 load tiny.safetensors --compute-device opencl:0 --virtual-vram-gb 0 --eject-models=false --json
else
    skip "a load over two OpenCL devices" "there are none"
fi
finish
