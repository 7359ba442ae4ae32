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

@test "a shard that is given by its path loads the whole, and that is said" {
    write 'write_shards(".", SMALL); write("alone.safetensors", SMALL)'
    total=$(distorch2 inspect ./alone.safetensors --json | "$PYTHON3" -c 'import json, sys; print(json.load(sys.stdin)["total_bytes"])')
    for part in model-00001-of-00002.safetensors model-00002-of-00002.safetensors; do
        run_split load "./$part" --compute-device cpu --virtual-vram-gb 0 --verify --json
        expect_status 0
        json "doc['loads'][0]['bytes'] == $total"
        [[ $errors == *"$part is one of a model's 2 files: all of them are read"* ]]
    done
    rm model.safetensors.index.json model-00002-of-00002.safetensors
    run_split load ./model-00001-of-00002.safetensors --compute-device cpu
    expect_status 1
    [[ $errors == *"is part 1 of 2 of a model; missing beside it: model-00002-of-00002.safetensors"* ]]
}

@test "sharded PyTorch files: by their index, by a part, by their folder" {
    write 'write("a.safetensors", SMALL[:3]); write("b.safetensors", SMALL[3:])'
    mkdir folder
    stem=folder/diffusion_pytorch_model
    "$PYTHON3" "$top_srcdir/tests/support/torchfile.py" a.safetensors $stem-00001-of-00002.bin
    "$PYTHON3" "$top_srcdir/tests/support/torchfile.py" b.safetensors $stem-00002-of-00002.bin --legacy
    write 'import json; files = ["diffusion_pytorch_model-0000%d-of-00002.bin" % i for i in (1, 2)]
json.dump({"weight_map": {t[0]: files[i // 3] for i, t in enumerate(SMALL)}}, open("folder/diffusion_pytorch_model.bin.index.json", "w"))'
    for model in folder $stem.bin.index.json $stem-00001-of-00002.bin $stem-00002-of-00002.bin; do
        run_split load "./$model" --compute-device cpu --virtual-vram-gb 0 --verify --json
        expect_status 0
        json 'doc["loads"][0]["bytes"] == doc["loads"][0]["verified_bytes"] > 16000'
        run_split inspect "./$model" --json
        json 'len(doc["parts"]) == 2 and doc["variant"] == "cldm"'
        json 'doc["format"] == ("diffusers-folder" if doc["name"] == "./folder" else "pytorch-sharded")'
    done
    rm $stem.bin.index.json
    run_split load ./$stem-00002-of-00002.bin --compute-device cpu --verify
    expect_status 0
    mkdir alone
    mv $stem-00001-of-00002.bin alone/diffusion_pytorch_model.bin
    run_split inspect ./alone --json
    expect_status 0
}

# A PyTorch file: NAME=TENSORS of each dict, where TENSORS is a list in safefile.py.
write_dicts()
{
    "$PYTHON3" - "$@" <<'PY'
import sys
import safefile
from torchfile import dict_of, model, number, pickle, storage, tensor, text
storages, dicts = {}, []
for word in sys.argv[2:]:
    name, which = word.split("=")
    items = []
    for key, dtype, shape in eval(which, vars(safefile)):
        raw = bytes([len(storages) % 251]) * safefile.size(dtype, shape)
        items.append((key, tensor(storage(str(len(storages)), len(raw) // safefile.SIZES[dtype], dtype), shape)))
        storages[str(len(storages))] = raw
    dicts.append((name, dict_of(items)))
dicts.append(("epoch", number(7)))
open(sys.argv[1], "wb").write(model(pickle(dict_of(dicts, ordered=False)), storages))
PY
}

@test "several dicts of tensors: the one that is known, else --key, with their sizes" {
    write_dicts one.pth 'optimizer=[("a.w", "F32", (3,))]' model=SMALL
    run_split inspect ./one.pth --json
    expect_status 0
    json 'doc["variant"] == "cldm" and len(doc["tensors"]) == 6 and doc["metadata"]["epoch"] == "7"'
    write_dicts two.pth model=SMALL ema=SMALL
    run_split load ./two.pth --compute-device cpu
    expect_status 1
    [[ $errors == *"several dicts of tensors, of which more than one is a network that is known: model (6 tensors, 17"*"KiB), ema (6 tensors, "* ]]
    [[ $errors == *"--key NAME"* && $errors != *"no tensors"* ]]
    for key in model ema; do
        run_split load ./two.pth --key $key --compute-device cpu --virtual-vram-gb 0 --verify
        expect_status 0
    done
    [ "$(distorch2 inspect ./two.pth --key model --checksums --json)" != "$(distorch2 inspect ./two.pth --key ema --checksums --json)" ]
    run_split inspect ./two.pth --key nothing
    expect_status 1
    [[ $errors == *"no dict of tensors called 'nothing'"*"model (6 tensors"* ]]
    run_split inspect ./two.pth --key epoch
    expect_status 1
    write_dicts none.pth 'a=[("x.w", "F32", (3,))]' 'b=[("y.w", "F32", (4,))]'
    run_split inspect ./none.pth
    expect_status 1
    [[ $errors == *"of which none is a network that is known: a (1 tensor, 12 B), b (1 tensor, 16 B)"* ]]
    run_split inspect ./none.pth --key b --json
    expect_status 0
    json '[t["name"] for t in doc["tensors"]] == ["y.w"]'
    write 'write("st.safetensors", SMALL)'
    run_split inspect ./st.safetensors --key model
    expect_status 2
}
