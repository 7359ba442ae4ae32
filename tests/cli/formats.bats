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
        json "doc['path'] == '$model' and len(doc['parts']) == 2"
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
    [[ $output == *"parts     $BATS_FILE_TMPDIR/folder/part-0.safetensors: 9 tensors"* ]]
}

# refused MODEL REASON: inspect exits with 1, and with one line that names the file and holds the reason.
refused()
{
    run_split inspect "$1"
    expect_status 1
    [ -z "$output" ]
    [[ $errors == "distorch2: ${1%/*}"*"$2"* ]]
    [ "$(printf '%s\n' "$errors" | grep -cv '^hint: ')" -eq 1 ]
    ! printf '%s' "$errors" | grep -q '[^[:print:][:space:]]'
}

@test "every hostile GGUF file and index: exit 1, one line" {
    for kind in gguf index; do
        while IFS=$'\t' read -r model reason; do
            refused "$top_srcdir/tests/data/hostile/$kind/$model" "$reason"
        done <"$top_srcdir/tests/data/hostile/$kind.tsv"
    done
}

@test "every hostile PyTorch file: exit 1, one line" {
    folder=$top_srcdir/tests/data/hostile/pytorch
    sed 1d "$folder/verdicts.tsv" >"$BATS_TEST_TMPDIR/verdicts"
    while IFS=$'\t' read -r model reason; do
        refused "$folder/$model" "$reason"
    done <"$BATS_TEST_TMPDIR/verdicts"
}

@test "every safetensors file that must be refused: exit 1, one line with the rule" {
    folder=$top_srcdir/tests/data/safetensors
    while IFS=$'\t' read -r model verdict rule; do
        [ "$verdict" != reject ] || refused "$folder/$model" "$rule"
    done <"$folder/verdicts.tsv"
}

# The stages of spec 5 written once more, apart from the library's table: (stage, index, tap) of a block's name.
cat_stages()
{
    cat <<'PY'
import re
def stage(name, diffusers):
    name = re.sub(r"^(control_model|adapter)\.", "", name)
    if diffusers:
        for pattern, place in (
                (r"conv_in$", lambda: (1, 0, 0)),
                (r"down_blocks\.(\d+)\.(?:resnets|attentions)\.(\d+)", lambda x, i: (1, 1 + 3 * x + i, 0)),
                (r"down_blocks\.(\d+)\.downsamplers", lambda x: (1, 3 * (x + 1), 0)),
                (r"controlnet_down_blocks\.(\d+)", lambda n: (1, n, 1)),
                (r"mid_block\.resnets\.(\d+)", lambda n: (3, 2 * n, 0)),
                (r"mid_block\.attentions\.0", lambda: (3, 1, 0)),
                (r"controlnet_mid_block", lambda: (4, 0, 0))):
            match = re.match(pattern, name)
            if match:
                return place(*map(int, match.groups()))
        return 0, 0, 0
    match = re.match(r"(\w+)\.(\d+)(?:\.|$)", name)
    kind, n = (match.group(1), int(match.group(2))) if match else (name.split(".")[0], 0)
    layers = "input_blocks double_blocks joint_blocks transformer_blocks blocks control_blocks body backbone".split()
    for place, kinds in (((1, n, 0), layers), ((1, n, 1), ["zero_convs", "controlnet_blocks", "after_proj_list"]),
                         ((2, n, 0), ["single_blocks", "single_transformer_blocks"]),
                         ((2, n, 1), ["controlnet_single_blocks", "single_controlnet_blocks"]),
                         ((3, n, 0), ["middle_block"]), ((4, 0, 0), ["middle_block_out"])):
        if kind in kinds:
            return place
    return 0, 0, 0
PY
}

@test "a file of each published layout: family, variant, every block in its stage" {
    need_python
    cat_stages >"$BATS_TEST_TMPDIR/stages.py"
    while read -r layout family variant; do
        "$PYTHON3" - "$top_srcdir/tests/data/layouts/$layout.tsv" model.safetensors <<'PY'
import json, struct, sys
bits = {"F16": 16, "BF16": 16, "F32": 32, "F64": 64, "I64": 64}
header, at = {}, 0
for line in open(sys.argv[1]):
    name, dtype, shape = line.rstrip("\n").split("\t")
    shape = [int(n) for n in shape.split(",") if n]
    size = bits[dtype] // 8
    for n in shape:
        size *= n
    header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
    at += size
text = json.dumps(header).encode()
with open(sys.argv[2], "wb") as out:
    out.write(struct.pack("<Q", len(text)) + text)
    out.truncate(8 + len(text) + at)
PY
        run_split inspect model.safetensors --json
        expect_status 0
        printf '%s' "$output" | "$PYTHON3" -c '
import json, sys
sys.path.insert(0, sys.argv[1])
from stages import stage
doc = json.load(sys.stdin)
assert (doc["family"], doc["variant"]) == tuple(sys.argv[2:]), (doc["family"], doc["variant"])
stages = [stage(block["name"], doc["variant"] == "diffusers") for block in doc["blocks"]]
assert stages == sorted(stages) and len(set(stages)) > 4, stages
assert sum(block["bytes"] for block in doc["blocks"]) == sum(t["bytes"] for t in doc["tensors"])' \
            "$BATS_TEST_TMPDIR" "$family" "$variant"
    done <<'END'
control_v11p_sd15_canny_fp16 sd1 cldm
sdxl_controlnet_cldm_fp16 sdxl cldm
diffusers_sd15_canny sd1 diffusers
diffusers_sdxl_canny_fp16 sdxl diffusers
diffusers_flux_instantx_canny flux instantx
diffusers_qwen_instantx_union qwen-image instantx
diffusers_sd3_instantx_canny sd3 native
hunyuandit_canny hunyuandit native
xlabs_flux_canny_v3 flux xlabs
t2iadapter_canny_sd15v2 sd1 t2i-adapter-full
END
}
