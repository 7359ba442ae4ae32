# SPDX-License-Identifier: BSD-3-Clause
# models and inspect.
load ../support/cli

setup_file()
{
    make_catalogue
}

setup()
{
    use_catalogue
}

@test "models: a table of names, sizes and folders" {
    run_split models
    expect_status 0
    [[ ${lines[0]} =~ ^NAME\ +SIZE\ +FOLDER$ ]]
    [ "${#lines[@]}" -eq 5 ]
    [[ ${lines[1]} == 'broken.safetensors '*'15 B'*"$COMFY/models/controlnet" ]]
    [[ ${lines[3]} == 'sub/tiny2.safetensors '* ]]
    [ -z "$errors" ]
}

@test "models: a pattern is part of the name in any case, or a glob for all of it" {
    run_split models TINY
    [ "${#lines[@]}" -eq 3 ]
    run_split models 'T?ny*'
    [ "${#lines[@]}" -eq 2 ]
    [[ ${lines[1]} == tiny.safetensors* ]]
    run_split models '*tiny*'
    [ "${#lines[@]}" -eq 3 ]
}

@test "models: what is asked for and not there is no failure, but said" {
    run_split models tyni.safetensors
    expect_status 0
    [ -z "$output" ]
    [[ $errors == *"none of 4 models matches 'tyni.safetensors'"* ]]
    [[ $errors == *tiny.safetensors* ]]
    mkdir empty
    run_split models --comfyui empty
    expect_status 0
    [ -z "$output" ]
    [[ $errors == *'no models found'*empty/models/controlnet* ]]
}

@test "models --json: folders, and names with paths and bytes" {
    run_split models --json
    expect_status 0
    json '[m["name"] for m in doc["models"]] == ["broken.safetensors", "plain.safetensors", "sub/tiny2.safetensors",
          "tiny.safetensors"]'
    json 'all(m["path"] == doc["folders"][0] + "/" + m["name"] for m in doc["models"])'
    json 'doc["models"][0]["bytes"] == 15 and len(doc["folders"]) == 2'
    run_split models --json nothing-like-it
    expect_status 0
    json 'doc["models"] == []'
}

@test "models --long: format and variant; a broken file is shown with its reason" {
    run_split models --long
    expect_status 0
    [[ $output == *FORMAT*FAMILY*VARIANT* ]]
    [[ ${lines[1]} == broken.safetensors*unreadable* ]]
    [[ ${lines[2]} == plain.safetensors*' safetensors '*unrecognised* ]]
    [[ ${lines[4]} == tiny.safetensors*' safetensors '*' sd1 '*' cldm '* ]]
    [[ $errors == *warning:*broken.safetensors* ]]
    run_split models --long --json
    expect_status 0
    json 'doc["models"][0]["format"] is None and doc["models"][0]["error"]["code"] == 1'
    json 'doc["models"][3]["variant"] == "cldm" and doc["models"][3]["error"] is None'
}

@test "models: a folder of extra_model_paths, and another category" {
    mkdir -p more other/models/loras
    cp "$COMFY/models/controlnet/tiny.safetensors" more/extra.safetensors
    cp "$COMFY/models/controlnet/tiny.safetensors" other/models/loras/l.safetensors
    printf 'mine:\n  controlnet: more\n' >extra.yaml
    run_split models --extra-model-paths extra.yaml extra
    expect_status 0
    [[ ${lines[1]} == extra.safetensors* ]]
    run_split models --comfyui other --category loras
    [[ ${lines[1]} == l.safetensors* ]]
    run_split models --extra-model-paths missing.yaml
    expect_status 1
}

@test "inspect: what a file is" {
    run_split inspect tiny.safetensors
    expect_status 0
    [[ $output == *'family    sd1'* ]]
    [[ $output == *'variant   cldm'* ]]
    [[ $output == *'tensors   18 in 10 blocks'* ]]
    [[ $output == *'F16: 18 tensors'* ]]
    [[ $output == *'Blocks, in execution order'* ]]
    [[ $output != *OFFSET* ]]
    run_split inspect --tensors "$COMFY/models/controlnet/plain.safetensors"
    [[ $output == *'unrecognised: blocks in file order'*'layer.1.weight  BF16'*'128 x 64'*'16,384'* ]]
}

@test "inspect --json: the keys, and blocks that sum to the model" {
    run_split inspect tiny.safetensors --json
    expect_status 0
    json '{"path", "format", "variant", "family", "total_bytes", "needs_base", "tensors", "blocks"} <= set(doc)'
    json 'set(doc["tensors"][0]) >= {"name", "dtype", "shape", "bytes", "block", "file", "offset"}'
    json 'doc["format"] == "safetensors" and doc["family"] == "sd1" and doc["needs_base"] is False'
    json 'sum(b["bytes"] for b in doc["blocks"]) == doc["total_bytes"] == sum(t["bytes"] for t in doc["tensors"])'
    json 'sum(b["tensors"] for b in doc["blocks"]) == len(doc["tensors"]) == 18'
    json 'doc["blocks"][0]["name"] == "control_model.time_embed.0"'
    json 'all(t["block"] == t["name"].rpartition(".")[0] for t in doc["tensors"])'
    json 'doc["tensors"][0]["shape"] == [64, 32]'
    run_split inspect plain.safetensors --json
    json 'doc["variant"] is None and doc["family"] is None'
}

@test "inspect of several: a bad one does not hide the others; the first failure is the exit" {
    run_split inspect tiny.safetensors nosuch.safetensors broken.safetensors plain.safetensors --json
    expect_status 4
    [ -z "$errors" ]
    json 'len(doc["files"]) == 4 and set(doc["files"][1]) == {"path", "error"}'
    json '[f.get("error", {}).get("code") for f in doc["files"]] == [None, 4, 1, None]'
    run_split inspect broken.safetensors nosuch.safetensors tiny.safetensors
    expect_status 1
    [[ $output == tiny.safetensors* || $output == *$'\ntiny.safetensors'* ]]
}

@test "a model that is not there: exit 4, the nearest name; a malformed one: exit 1, its rule" {
    run_split inspect tinny.safetensors
    expect_status 4
    [ -z "$output" ]
    [[ $errors == distorch2:*tinny.safetensors*hint:*tiny.safetensors* ]]
    run_split inspect broken.safetensors --json
    expect_status 1
    json 'doc["error"]["code"] == 1 and "broken.safetensors" in doc["error"]["message"]'
}

@test "names from files are shown, not sent to the terminal" {
    need_python
    "$PYTHON3" - evil.safetensors <<'PY'
import json, struct, sys
header = json.dumps({"evil\x1b[2J.0.weight": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
                     "__metadata__": {"note\n": "a\rb"}}).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(header)) + header + bytes(4))
PY
    run_split inspect ./evil.safetensors --tensors
    expect_status 0
    [[ $output != *$'\e'* && $output != *$'\r'* ]]
    [[ $output == *'evil\x1b[2J.0'* ]]
}

@test "file names that are no UTF-8 do not break the JSON" {
    cp "$COMFY/models/controlnet/tiny.safetensors" $'bad\xffname.safetensors'
    run_split inspect $'./bad\xffname.safetensors' --json
    expect_status 0
    json 'doc["path"].endswith("bad\ufffdname.safetensors")'
}
