# SPDX-License-Identifier: BSD-3-Clause
# What the tests of the command line share: a catalogue of small models, and ways to look at output.
# shellcheck shell=bash disable=SC2154

: "${top_srcdir:=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}"
: "${top_builddir:=$top_srcdir/build}"
: "${DISTORCH2:=$top_builddir/distorch2}"
: "${DISTORCH2_BACKEND_PATH:=$top_builddir/.libs}"
export DISTORCH2_BACKEND_PATH
# Two OpenCL devices wherever PoCL is installed, and nothing of the machine's own models.
export POCL_DEVICES='pthread basic' HOME=/nonexistent LC_ALL=C.UTF-8
# What one test measures another does not know.
export XDG_CACHE_HOME=${BATS_TEST_TMPDIR:-${BATS_FILE_TMPDIR:-$top_builddir/tests}}/cache
# Tables as wide as they need to be, and no request from outside.
export COLUMNS=0
unset COMFYUI_PATH NO_COLOR HF_HOME HF_HUB_CACHE DISTORCH2_COMPUTE_DEVICE DISTORCH2_VIRTUAL_VRAM_GB DISTORCH2_DONOR_DEVICE \
    DISTORCH2_EXPERT_MODE_ALLOCATIONS DISTORCH2_EJECT_MODELS DISTORCH2_RESERVE DISTORCH2_BUDGET DISTORCH2_PACK DISTORCH2_FIT DISTORCH2_SHARE DISTORCH2_PLACE \
    DISTORCH2_ALL_TENSORS DISTORCH2_KEY

# Makes a ComfyUI folder, once for each file of tests: tiny (recognised), plain (not recognised), sub/tiny2, broken.
make_catalogue()
{
    local folder=$BATS_FILE_TMPDIR/comfy/models/controlnet
    mkdir -p "$folder/sub"
    "$top_builddir/tests/support/mkmodel" "$top_srcdir/tests/data/layouts/tiny.tsv" "$folder/tiny.safetensors"
    "$top_builddir/tests/support/mkmodel" "$top_srcdir/tests/data/layouts/tiny-plain.tsv" "$folder/plain.safetensors"
    cp "$folder/tiny.safetensors" "$folder/sub/tiny2.safetensors"
    printf 'no model at all' >"$folder/broken.safetensors"
}

use_catalogue()
{
    COMFY=$BATS_FILE_TMPDIR/comfy
    export COMFYUI_PATH=$COMFY
    cd "$BATS_TEST_TMPDIR" || return
}

distorch2()
{
    "$DISTORCH2" "$@"
}

# run, with standard error in a file of its own: $output and $lines are what a pipe would get, $errors the rest.
run_split()
{
    run bash -c '"$@" 2>"$0"' "$BATS_TEST_TMPDIR/errors" "$DISTORCH2" "$@"
    errors=$(cat "$BATS_TEST_TMPDIR/errors")
}

# Shows what was got when a test fails; bats prints it only then.
expect_status()
{
    echo "status $status, expected $1"
    echo "output: $output"
    echo "errors: ${errors-}"
    [ "$status" -eq "$1" ]
}

need_python()
{
    [ -n "${PYTHON3=$(command -v python3)}" ] || skip 'python3 is not installed'
}

# Evaluates a Python expression over `doc`, the JSON document in $output; fails unless it is true.
json()
{
    need_python
    printf '%s' "$output" | "$PYTHON3" -c '
import json, sys
doc = json.load(sys.stdin)
if not eval(sys.argv[1]):
    sys.exit("not true: " + sys.argv[1] + "\n" + json.dumps(doc, indent=1))' "$1"
}

need_opencl()
{
    distorch2 devices 2>/dev/null | grep -q '^opencl:0 ' || skip 'there is no OpenCL device'
}

# Runs a command line on a terminal of its own; $output is all that it wrote there.
on_terminal()
{
    command -v script >/dev/null || skip 'script is not installed'
    script -qec true /dev/null </dev/null >/dev/null 2>&1 || skip 'there are no terminals here'
    run env TERM=xterm SHELL="$BASH" script -qec "$1" /dev/null </dev/null
}
