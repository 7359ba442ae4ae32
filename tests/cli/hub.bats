# SPDX-License-Identifier: BSD-3-Clause
# Models by their ids, from the local cache of the Hugging Face hub.
load ../support/cli

setup_file()
{
    make_catalogue
}

setup()
{
    use_catalogue
    export HF_HOME=$BATS_TEST_TMPDIR/hf
    hub=$HF_HOME/hub
    commit=0123456789abcdef0123456789abcdef01234567
}

# repository USER NAME: an empty one, whose snapshot is $snapshot.
repository()
{
    local folder=$hub/models--$1--$2
    blobs=$folder/blobs snapshot=$folder/snapshots/$commit
    mkdir -p "$folder/refs" "$blobs" "$snapshot"
    printf %s $commit >"$folder/refs/main"
}

# downloaded FILE [SOURCE]: a file of the snapshot, as the hub's library leaves it: a link to a blob.
downloaded()
{
    local blob
    blob=blob-$(tr / _ <<<"$1")
    mkdir -p "$(dirname "$snapshot/$1")"
    cp "${2:-$COMFY/models/controlnet/tiny.safetensors}" "$blobs/$blob"
    ln -sr "$blobs/$blob" "$snapshot/$1"
}

@test "the only model of a repository, by its id" {
    repository lllyasviel some.model_v1-1
    downloaded README.md /dev/null
    downloaded model_fp16.safetensors
    for id in lllyasviel/some.model_v1-1 hf:lllyasviel/some.model_v1-1 lllyasviel/some.model_v1-1/model_fp16.safetensors; do
        run_split inspect "$id" --json
        expect_status 0
        json "doc['path'] == '$snapshot/model_fp16.safetensors' and doc['name'] == '$id'"
    done
    run_split load lllyasviel/some.model_v1-1 --compute-device cpu --verify
    expect_status 0
}

@test "where the cache is" {
    repository u n
    downloaded a.safetensors
    mv "$HF_HOME" elsewhere
    run_split inspect u/n
    expect_status 4
    [[ $errors == *"nor in the hub's cache, $HF_HOME/hub"* ]]
    for place in "HF_HUB_CACHE=$PWD/elsewhere/hub" "HF_HOME=$PWD/elsewhere"; do
        run env "$place" "$DISTORCH2" inspect u/n
        expect_status 0
    done
    mkdir -p home/.cache
    mv elsewhere home/.cache/huggingface
    run env -u HF_HOME -u XDG_CACHE_HOME "HOME=$PWD/home" "$DISTORCH2" inspect u/n
    expect_status 0
}

@test "several models are listed; a file of a folder can be named" {
    repository u n
    downloaded a.safetensors
    downloaded sub/b.safetensors
    run_split inspect u/n
    expect_status 4
    [[ $errors == *'u/n has several models: a.safetensors, sub/b.safetensors'*'hint: name one: u/n/FILE'* ]]
    run_split inspect u/n/sub/b.safetensors
    expect_status 0
    run_split inspect u/n/sub/c.safetensors
    expect_status 4
    [[ $errors == *'sub/c.safetensors was not downloaded'*sub/b.safetensors* ]]
}

@test "a folder of the diffusers library, and a model in parts" {
    repository u diffusers
    downloaded diffusion_pytorch_model.safetensors
    downloaded diffusion_pytorch_model.fp16.safetensors
    run_split inspect u/diffusers --json
    expect_status 0
    json "doc['path'] == '$snapshot' and doc['format'] == 'diffusers-folder'"
    repository u parts
    downloaded model-00001-of-00002.safetensors
    downloaded model-00002-of-00002.safetensors
    printf '{"weight_map": {}}' >index
    downloaded model.safetensors.index.json index
    run_split inspect u/parts
    expect_status 1 # an index of nothing; it is what was chosen
    [[ $errors == *model.safetensors.index.json* ]]
}

# parts FORMAT STEM: a model in two parts and their index, as files in the folder "made"; of gguf without one.
parts()
{
    need_python
    rm -rf made
    mkdir made
    (
        cd made || exit
        export PYTHONPATH=$top_srcdir/tests/support PYTHONDONTWRITEBYTECODE=1
        "$PYTHON3" -c "from safefile import *; write('a', SMALL[:3]); write('b', SMALL[3:])"
        i=0
        for half in a b; do
            i=$((i + 1))
            case $1 in
            safetensors) cp $half "$2-0000$i-of-00002.safetensors" ;;
            bin) "$PYTHON3" "$top_srcdir/tests/support/torchfile.py" $half "$2-0000$i-of-00002.bin" ;;
            esac
        done
        rm a b
        "$PYTHON3" - "$1" "$2" <<'PY'
import json, sys
from safefile import SMALL
kind, stem = sys.argv[1:]
files = ["%s-0000%d-of-00002.%s" % (stem, i, kind) for i in (1, 2)]
json.dump({"weight_map": {t[0]: files[i // 3] for i, t in enumerate(SMALL)}}, open("%s.%s.index.json" % (stem, kind), "w"))
PY
    )
}

@test "a whole model in parts by its id, each of its files a link: every kind of weights" {
    for kind in safetensors bin; do
        for stem in diffusion_pytorch_model model; do
            parts $kind $stem
            for indexed in yes no; do
                repository u $stem.$kind.$indexed
                for file in made/*; do
                    [[ $indexed == no && $file == *.json ]] || downloaded "${file#made/}" "$file"
                done
                [[ $indexed == no && $stem == diffusion_pytorch_model ]] && continue # a folder of diffusers has one
                for id in u/$stem.$kind.$indexed u/$stem.$kind.$indexed/$stem-00002-of-00002.$kind; do
                    run_split load "$id" --compute-device cpu --virtual-vram-gb 0 --verify --json
                    expect_status 0
                    json 'doc["loads"][0]["bytes"] == doc["loads"][0]["verified_bytes"] > 16000'
                    run_split inspect "$id" --json
                    json 'len(doc["parts"]) == 2 and doc["variant"] == "cldm"'
                done
            done
        done
    done
    rm "$(readlink -f "$snapshot/model-00002-of-00002.bin")"
    run_split load "u/model.bin.no" --compute-device cpu
    expect_status 1
    [[ $errors == *'missing beside it: model-00002-of-00002.bin'* || $errors == *'not downloaded completely'* ]]
}

@test "a download that is not complete is named: exit 1" {
    repository u n
    downloaded a.safetensors
    rm "$blobs"/blob-a.safetensors
    touch "$blobs"/abcdef.incomplete
    for id in u/n u/n/a.safetensors; do
        run_split inspect $id
        expect_status 1
        [[ $errors == *"$id is not downloaded completely"*a.safetensors*'on its way is blobs/abcdef.incomplete'* ]]
        [[ $errors == *'hint: download it again: huggingface-cli download u/n'* ]]
    done
    rm -r "$snapshot"
    run_split inspect u/n
    expect_status 1
    [[ $errors == *"snapshots/$commit is missing"* ]]
}

@test "without refs/main the only snapshot counts, and of several none" {
    repository u n
    downloaded a.safetensors
    rm "$hub/models--u--n/refs/main"
    run_split inspect u/n
    expect_status 0
    mkdir "$hub/models--u--n/snapshots/other"
    run_split inspect u/n
    expect_status 4
    [[ $errors == *'no refs/main'*'2 snapshots'* ]]
}

@test "the catalogue and paths come first; what is no id is none" {
    repository sub tiny2.safetensors
    downloaded other.gguf "$top_srcdir/tests/data/gguf/controlnet.gguf"
    run_split inspect sub/tiny2.safetensors --json
    json "doc['format'] == 'safetensors'"
    run_split inspect hf:sub/tiny2.safetensors --json
    json "doc['format'] == 'gguf'"
    for id in hf:x hf:../x hf:u/../n 'hf:u/n/../../x' hf:; do
        run_split inspect "$id"
        expect_status 4
        [[ $errors == *'no id of the hub'* ]]
    done
    run_split inspect sub/tiny3.safetensors
    expect_status 4
    [[ $errors == *'hint: did you mean sub/tiny2.safetensors'* ]]
}
