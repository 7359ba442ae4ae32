# SPDX-License-Identifier: BSD-3-Clause
# Models of every format, from inspect to load; whole catalogues; hostile files.
load ../support/cli

setup_file()
{
    make_catalogue
    cp "$top_srcdir/tests/data/gguf/controlnet.gguf" "$BATS_FILE_TMPDIR/comfy/models/controlnet"
    make_folder "$BATS_FILE_TMPDIR/folder"
}

setup()
{
    use_catalogue
}

# A folder of diffusers: tiny.safetensors over two files with their index.
make_folder()
{
    [ -n "${PYTHON3:=$(command -v python3)}" ] || return 0
    mkdir -p "$1"
    "$PYTHON3" - "$BATS_FILE_TMPDIR/comfy/models/controlnet/tiny.safetensors" "$1" <<'PY'
import json, struct, sys
source, folder = sys.argv[1:]
data = open(source, "rb").read()
length = struct.unpack("<Q", data[:8])[0]
header, data = json.loads(data[8:8 + length]), data[8 + length:]
names = sorted(name for name in header if name != "__metadata__")
weight_map = {}
for part, chosen in enumerate([names[::2], names[1::2]]):
    file, table, body = f"part-{part}.safetensors", {}, b""
    for name in chosen:
        begin, end = header[name]["data_offsets"]
        table[name] = dict(header[name], data_offsets=[len(body), len(body) + end - begin])
        body += data[begin:end]
        weight_map[name] = file
    text = json.dumps(table).encode()
    open(f"{folder}/{file}", "wb").write(struct.pack("<Q", len(text)) + text + body)
json.dump({"metadata": {"total_size": len(data)}, "weight_map": weight_map},
          open(f"{folder}/diffusion_pytorch_model.safetensors.index.json", "w"), indent=2)
PY
}

@test "a folder, its index and one file: the same blocks in the same order" {
    need_python
    whole=$(distorch2 inspect tiny.safetensors --json)
    for model in "$BATS_FILE_TMPDIR/folder" "$BATS_FILE_TMPDIR/folder/diffusion_pytorch_model.safetensors.index.json"; do
        run_split inspect "$model" --json
        expect_status 0
        [ "$(printf '%s' "$output" | "$PYTHON3" -c 'import json, sys; print(json.load(sys.stdin)["blocks"])')" = \
            "$(printf '%s' "$whole" | "$PYTHON3" -c 'import json, sys; print(json.load(sys.stdin)["blocks"])')" ]
        json "doc['path'] == '$model' and len(doc['files']) == 2"
        json 'doc["format"] == ("safetensors-sharded" if doc["path"].endswith(".json") else "diffusers-folder")'
        json 'all(t["file"].endswith(("part-0.safetensors", "part-1.safetensors")) for t in doc["tensors"])'
        json 'doc["family"] == "sd1" and doc["variant"] == "cldm"'
    done
}

@test "load: a folder, its index, a GGUF file; every byte verified" {
    need_python
    for model in "$BATS_FILE_TMPDIR/folder" "$BATS_FILE_TMPDIR/folder/diffusion_pytorch_model.safetensors.index.json" \
        controlnet.gguf; do
        run_split load "$model" --compute-device cpu --verify --json
        expect_status 0
        json 'doc["loads"][0]["verified_bytes"] == doc["loads"][0]["bytes"] > 0'
    done
}

@test "load: GGUF onto an OpenCL device" {
    need_opencl
    run_split load controlnet.gguf --compute-device opencl:0 --virtual-vram-gb 0 --verify --json
    expect_status 0
    json 'doc["loads"][0]["verified_bytes"] == doc["loads"][0]["bytes"] > 0'
}

@test "inspect --all: a line for each model, bad ones too, and the count" {
    run_split inspect --all
    expect_status 1
    [[ $errors == *broken.safetensors* ]]
    printf '%s\n' "$output" | grep -q '^tiny.safetensors *safetensors *sd1 *cldm '
    printf '%s\n' "$output" | grep -q '^controlnet.gguf *gguf *sd1 *cldm .*Q8_0, F16, F32$'
    printf '%s\n' "$output" | grep -q '^broken.safetensors *unreadable$'
    [ "${lines[-1]}" = '5 models: 3 recognised, 1 unrecognised, 1 unreadable' ]
    [ "$(printf '%s\n' "$output" | grep -c safetensors)" -eq 4 ]
}

@test "inspect --all --json: all of them, and the counts" {
    run_split inspect --all --json
    expect_status 1
    [ -z "$errors" ]
    json 'len(doc["files"]) == 5 and sum("error" in f for f in doc["files"]) == 1'
    json 'doc["counts"] == {"models": 5, "recognised": 3, "unrecognised": 1, "unreadable": 1}'
    json '[f["format"] for f in doc["files"] if "error" not in f].count("gguf") == 1'
}

@test "inspect --all: with --tensors a page each; with a model it is a mistake; of nothing, nothing" {
    run_split inspect --all --tensors
    expect_status 1
    [ "$(printf '%s\n' "$output" | grep -c '^Tensors, in file order')" -eq 4 ]
    run_split inspect --all tiny.safetensors
    expect_status 2
    run_split inspect --all --comfyui "$BATS_TEST_TMPDIR"
    expect_status 0
    [ "$output" = '0 models: 0 recognised, 0 unrecognised, 0 unreadable' ]
    run_split inspect --all --json --comfyui "$BATS_TEST_TMPDIR"
    json 'doc["files"] == [] and doc["counts"]["models"] == 0'
}

@test "inspect says in words what a network is, and its parts in files" {
    run_split inspect controlnet.gguf
    [[ $output == *'what      ControlNet for Stable Diffusion 1.x'* && $output == *'hint      3 channels'* ]]
    need_python
    run_split inspect "$BATS_FILE_TMPDIR/folder"
    [[ $output == *"files     $BATS_FILE_TMPDIR/folder/part-0.safetensors: 9 tensors"* ]]
}

@test "every hostile file: exit 1, one line" {
    for kind in gguf index; do
        while IFS=$'\t' read -r model reason; do
            run_split inspect "$top_srcdir/tests/data/hostile/$kind/$model"
            expect_status 1
            [ -z "$output" ]
            [[ $errors == "distorch2: $top_srcdir/tests/data/hostile/$kind/"*"$reason"* ]]
            [ "$(printf '%s\n' "$errors" | grep -cv '^hint: ')" -eq 1 ]
        done <"$top_srcdir/tests/data/hostile/$kind.tsv"
    done
}
