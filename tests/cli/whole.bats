# SPDX-License-Identifier: BSD-3-Clause
# Files with more in them than a ControlNet, and files with less: parts of models.
load ../support/cli

setup()
{
    need_python
    export PYTHONPATH=$top_srcdir/tests/support PYTHONDONTWRITEBYTECODE=1
    cd "$BATS_TEST_TMPDIR" || return
}

write()
{
    "$PYTHON3" -c "from safefile import *; $1"
}

@test "a base model beside the ControlNet is left out, and one line says so" {
    write 'write("whole.safetensors", BASE + SMALL); write("alone.safetensors", SMALL)'
    alone=$(distorch2 inspect ./alone.safetensors --json)
    run_split inspect ./whole.safetensors --json
    expect_status 0
    json 'doc["left_out"]["tensors"] == 4 and doc["left_out"]["bytes"] == 2 * (64 * 36 * 2 + 200 * 768) + 4000'
    json 'sum(b["bytes"] for b in doc["blocks"]) == doc["total_bytes"]'
    json '[t["block"] is None for t in doc["tensors"]].count(True) == 4'
    whole=$(printf '%s' "$output" | "$PYTHON3" -c 'import json, sys; print(json.load(sys.stdin)["blocks"])')
    [ "$whole" = "$(printf '%s' "$alone" | "$PYTHON3" -c 'import json, sys; print(json.load(sys.stdin)["blocks"])')" ]
    run_split inspect ./whole.safetensors
    expect_status 0
    [[ $output == *"in 4 tensors belong to no ControlNet and are not loaded"* ]]
    for command in plan load run; do
        run_split $command ./whole.safetensors --compute-device cpu --virtual-vram-gb 0
        expect_status 0
        [ "$(grep -c 'belong to no ControlNet and are not loaded' <<<"$errors")" -eq 1 ]
        [[ $output != *first_stage* ]]
    done
    run_split plan ./whole.safetensors --compute-device cpu --json
    json 'doc["model"]["total_bytes"] == sum(s["bytes"] for s in doc["shares"]) < doc["model"]["file_bytes"]'
}

@test "--all-tensors takes all of a file, the network first" {
    write 'write("whole.safetensors", BASE + SMALL)'
    run_split inspect ./whole.safetensors --all-tensors --json
    expect_status 0
    json 'doc["left_out"] == {"tensors": 0, "bytes": 0}'
    json '[b["name"].startswith("control_model") for b in doc["blocks"]] == [True] * 6 + [False] * 4'
    run_split load ./whole.safetensors --all-tensors --compute-device cpu --virtual-vram-gb 0 --verify
    expect_status 0
    [ -z "$errors" ]
    DISTORCH2_ALL_TENSORS=true run_split plan ./whole.safetensors --compute-device cpu --json
    json 'doc["model"]["total_bytes"] == doc["model"]["file_bytes"]'
}
