# SPDX-License-Identifier: BSD-3-Clause
# devices, and how things look: tables, pipes, terminals, colour.
load ../support/cli

setup_file()
{
    make_catalogue
}

setup()
{
    use_catalogue
}

# Every line of a block of a table has its right-aligned column end where the title does.
ends_at()
{
    local title=$1 at
    at=${lines[0]%%"$title"*}
    for line in "${lines[@]:1:$2}"; do
        [ "${line:${#at}+${#title}-1:1}" != ' ' ]
        [ "${line:${#at}+${#title}:1}" = ' ' ]
    done
}

@test "devices: every memory, host memory among them" {
    run_split devices
    expect_status 0
    [[ ${lines[0]} =~ ^NAME\ +KIND\ +.*MEMORY\ +FREE ]]
    [[ $output == *$'\ncpu '*' host '* ]]
}

@test "devices --json: the version first, then the snapshot" {
    run_split devices --json
    expect_status 0
    json 'list(doc)[0] == "distorch2" and {"devices", "budgets", "unusable", "numa_distances"} <= set(doc)'
    json 'all(d["budgets"][0] == d["name"] for d in doc["devices"])'
    json '{"name", "aliases", "driver", "kind", "vendor", "model", "pci", "uuid", "numa_node", "package",
           "total_bytes", "free_bytes", "alignment_bytes", "max_alloc_bytes", "budgets", "links"} <= set(doc["devices"][0])'
}

@test "devices: another machine from hwloc, node by node" {
    HWLOC_SYNTHETIC='pack:2 numa:1 core:2 pu:1' DISTORCH2_BACKEND_PATH='' run_split devices
    expect_status 0
    [[ $output == *$'\ncpu:0 '* && $output == *$'\ncpu:1 '* ]]
    [[ $output == *unknown* ]]
    HWLOC_SYNTHETIC='pack:2 numa:2 core:2 pu:1' DISTORCH2_BACKEND_PATH='' run_split devices --json
    json '[d["package"] for d in doc["devices"]] == [None, 0, 0, 1, 1]'
}

@test "numbers are aligned on the right, also beside names of several bytes a character" {
    cp "$COMFY/models/controlnet/tiny.safetensors" "$BATS_TEST_TMPDIR/größe.safetensors"
    mkdir -p c/models/controlnet
    cp "$COMFY/models/controlnet/tiny.safetensors" c/models/controlnet/größe-ñ.safetensors
    printf x >c/models/controlnet/a.safetensors
    run_split models --comfyui c
    [ "${#lines[@]}" -eq 3 ]
    ends_at SIZE 2
}

@test "no escape codes and no pictures in pipes" {
    for command in devices models 'inspect tiny.safetensors' 'plan tiny.safetensors' 'load tiny.safetensors'; do
        # shellcheck disable=SC2086
        run bash -c '"$@" 2>&1' - "$DISTORCH2" $command
        expect_status 0
        [[ $output != *$'\e'* && $output != *$'\r'* && $output != *█* ]]
    done
}

@test "no line ends in spaces" {
    for command in devices models 'inspect tiny.safetensors --tensors' 'plan tiny.safetensors'; do
        # shellcheck disable=SC2086
        run_split $command
        ! printf '%s\n' "$output" | grep ' $'
    done
}

@test "on a terminal there are headings in bold and a picture; with NO_COLOR no colour" {
    on_terminal "'$DISTORCH2' plan tiny.safetensors"
    expect_status 0
    [[ $output == *$'\e[1m'* && $output == *█* ]]
    on_terminal "NO_COLOR=1 '$DISTORCH2' plan tiny.safetensors"
    [[ $output != *$'\e['*m* ]]
    on_terminal "TERM=dumb '$DISTORCH2' plan tiny.safetensors"
    [[ $output != *$'\e'* ]]
    on_terminal "LC_ALL=C '$DISTORCH2' inspect tiny.safetensors"
    [[ $output == *'###'* && $output != *█* ]]
}

@test "plan on a terminal: a bar for each device, however narrow, and without UTF-8" {
    on_terminal "COLUMNS=120 '$DISTORCH2' plan tiny.safetensors --compute-device cpu"
    [[ $output == *'in use'*'planned'*'free'*'reserved'* ]]
    [[ $output == *$'\n  cpu    '*█* ]]
    on_terminal "stty cols 30; '$DISTORCH2' plan tiny.safetensors --compute-device cpu"
    [[ $(printf '%s\n' "$output" | grep '^  cpu    ' | tail -n 1 | tr -d '\r' | wc -m) -le 31 ]]
    on_terminal "stty cols 12; '$DISTORCH2' plan tiny.safetensors --compute-device cpu"
    [[ $output != *reserved* ]]
    on_terminal "LC_ALL=C '$DISTORCH2' plan tiny.safetensors --compute-device cpu"
    [[ $output == *'# in use'*'= planned'* && $output != *█* ]]
}

@test "progress on a terminal, and nothing of it left behind" {
    on_terminal "'$DISTORCH2' load tiny.safetensors --verify 2>&1 >/dev/null"
    expect_status 0
    [[ $output == *'loading tiny.safetensors'*'100 %'* ]]
    left=${output##*$'\e[J'} # after the last time that it was wiped
    [[ $left != "$output" && $left != *loading* && $left != *verifying* && $left != *█* ]]
    on_terminal "'$DISTORCH2' load tiny.safetensors --json 2>/dev/null | cat"
    [[ $output == '{'* && $output != *loading* ]]
}

@test "warnings go to standard error, or into the JSON" {
    run_split plan tiny.safetensors --compute-device cpu --donor-device cpu
    expect_status 0
    [[ $errors == *'distorch2: warning: '* ]]
    run_split plan tiny.safetensors --compute-device cpu --donor-device cpu --json
    json 'doc["warnings"]'
    [ -z "$errors" ]
}

@test "warnings come before the table; nobody is warned of what nobody asked for" {
    run bash -c '"$@" 2>&1' - "$DISTORCH2" plan tiny.safetensors --compute-device cpu --donor-device cpu
    [[ ${lines[0]} == 'distorch2: warning: '* && ${lines[1]} == tiny.safetensors ]]
    run bash -c '"$@" 2>&1' - "$DISTORCH2" load tiny.safetensors --compute-device cpu --donor-device cpu
    [[ ${lines[0]} == 'distorch2: warning: '* && ${lines[1]} == tiny.safetensors ]]
    for request in '' '--expert-mode-allocations cpu,*'; do
        # shellcheck disable=SC2086
        run_split plan tiny.safetensors --compute-device cpu $request
        expect_status 0
        [ -z "$errors" ]
    done
    run_split plan tiny.safetensors --compute-device cpu --expert-mode-allocations 'cpu,*' --virtual-vram-gb 1
    [[ $errors == *'virtual VRAM is not used'* ]]
}

@test "--quiet and --log-level: what is said beside the result" {
    for level in --quiet -q --log-level=error; do
        run_split plan tiny.safetensors --compute-device cpu --donor-device cpu $level
        expect_status 0
        [ -z "$errors" ]
        [[ $output == tiny.safetensors* ]]
    done
    run_split plan nosuch --quiet
    expect_status 4
    [[ $errors == *nosuch* ]]
    run_split plan tiny.safetensors --compute-device cpu --donor-device cpu --log-level warning
    [[ $errors == *warning:* ]]
    run_split models --quiet nothing-like-it
    [ -z "$errors" ]
    run_split plan tiny.safetensors --log-level loud
    expect_status 2
    [[ $errors == *"--log-level: 'loud' is none of error|warning|info|debug"* ]]
}

@test "--progress: lines, JSON, none" {
    need_python
    run_split load tiny.safetensors --compute-device cpu --progress=lines
    expect_status 0
    [[ $errors =~ ^'loading tiny.safetensors: 0 B of '[^$'\n']*$'\n''loading tiny.safetensors: '.*' 100 %, ' ]]
    run_split load tiny.safetensors --compute-device cpu --progress=json --verify
    expect_status 0
    [[ $output == tiny.safetensors* ]]
    output=$(printf '%s\n' "$errors" | "$PYTHON3" -c 'import json, sys; print(json.dumps([json.loads(l) for l in sys.stdin]))')
    json 'len(doc) >= 4 and [d["phase"] for d in doc if d["done_bytes"] == d["total_bytes"]] == ["loading", "verifying"]'
    json 'all(set(d) == {"phase", "model", "done_bytes", "total_bytes", "seconds", "devices"} for d in doc)'
    json 'all(sum(x["done_bytes"] for x in d["devices"]) == d["done_bytes"] for d in doc)'
    for mode in auto none; do # too short for a line every few seconds
        run_split load tiny.safetensors --compute-device cpu --progress $mode
        [ -z "$errors" ]
    done
    run_split load tiny.safetensors --compute-device cpu --progress=lines --quiet
    [[ $errors == *'100 %'* ]]
    on_terminal "'$DISTORCH2' load tiny.safetensors --compute-device cpu --quiet 2>&1 >/dev/null"
    [ -z "$output" ]
}

# The widest line of what is printed.
widest()
{
    printf '%s\n' "$output" | wc -L
}

@test "tables fit 80 columns, or what COLUMNS says; names and numbers stay whole" {
    need_python
    mkdir -p "wide/models/controlnet/a-folder-with-quite-a-long-name-in-it"
    local long=wide/models/controlnet/a-folder-with-quite-a-long-name-in-it/model.safetensors
    "$PYTHON3" - "$long" <<'PY'
import json, struct, sys
names = [f"control_model.input_blocks.{i}.1.transformer_blocks.0.attn1.a_rather_long_name_for_a_layer.to_out.0.weight"
         for i in range(12)]
header = {name: {"dtype": "F32", "shape": [2, 3, 1, 1], "data_offsets": [24 * i, 24 * i + 24]} for i, name in enumerate(names)}
text = json.dumps(header).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + bytes(24 * len(names)))
PY
    for columns in 80 60; do
        for command in devices 'models --long' 'inspect --tensors' 'inspect --all' plan 'load --verify'; do
            [[ $columns == 60 && $command == *--all || $columns == 60 && $command == models* ]] && continue # that name
            case $command in
            devices | models* | *--all) model='' ;;
            *) model=a-folder-with-quite-a-long-name-in-it/model.safetensors ;;
            esac
            # shellcheck disable=SC2086
            COLUMNS=$columns run_split $command $model --comfyui wide
            expect_status 0
            # titles and paths are not cut: the table is what is indented, or all of a listing
            output=$(printf '%s\n' "$output" | grep -v '^  path\|^a-folder[^ ]*$')
            echo "$command in $columns: $(widest)"
            [ "$(widest)" -le "$columns" ]
        done
    done
    COLUMNS=80 run_split models --comfyui wide
    [[ ${lines[1]} == 'a-folder-with-quite-a-long-name-in-it/model.safetensors '* ]]
    unset COLUMNS
    run_split inspect "$long"
    [ "$(printf '%s\n' "$output" | grep -v '^  path' | wc -L)" -le 80 ]
    COLUMNS=0 run_split inspect "$long"
    [[ $output == *'a_rather_long_name_for_a_layer.to_out.0 '* ]]
}

@test "devices says which one computes" {
    run_split devices
    [[ $output == *'computes, unless --compute-device names another'* ]]
    run_split devices --json
    json 'doc["compute_device"] in [d["name"] for d in doc["devices"]]'
}

@test "devices: GPUs that are alike and cannot be used are one paragraph, no wider than a table" {
    HWLOC_XMLFILE=$top_srcdir/tests/data/topologies/nvidiaDGX2.xml DISTORCH2_BACKEND_PATH='' COLUMNS=80 run_split devices
    expect_status 0
    unusable=${output#*Unusable}
    [ "$(grep -c 'hint: ' <<<"$unusable")" -eq 1 ]
    [[ $unusable =~ ([0-9]+)' x ' && ${BASH_REMATCH[1]} -ge 8 ]]
    [ "$(grep -o '[0-9a-f]\{4\}:[0-9a-f]\{2\}:[0-9a-f]\{2\}\.[0-9]' <<<"$unusable" | sort -u | wc -l)" -eq "${BASH_REMATCH[1]}" ]
    output=$unusable
    [ "$(widest)" -le 80 ]
    HWLOC_XMLFILE=$top_srcdir/tests/data/topologies/nvidiaDGX2.xml DISTORCH2_BACKEND_PATH='' run_split devices --json
    json "len(doc['unusable']) == ${BASH_REMATCH[1]}"
}

# hostile NAME: a model whose tensors have names that would move the cursor, fake a line or turn the text around.
hostile()
{
    need_python
    "$PYTHON3" - "$1" <<'PY'
import json, struct, sys
names = ["a\x1b[2Jb.weight", "c\nERROR: faked.weight", "d\u202egnp.weight", "e\x9b31m.weight", "f\u2028g.weight", "h\x7f\rj.weight"]
header = {name: {"dtype": "F32", "shape": [2], "data_offsets": [8 * i, 8 * i + 8]} for i, name in enumerate(names)}
text = json.dumps(header).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + bytes(8 * len(names)))
PY
}

# tame TEXT: nothing of it that a terminal or a reader obeys, but for colours, bars and the erasing of our own.
tame()
{
    printf '%s' "$1" | "$PYTHON3" -c '
import re, sys
text = sys.stdin.buffer.read().decode()
text = re.sub("\x1b\\[(?:[0-9;]*m|J|[0-9]+A)|\r", "", text)
bad = [c for c in text if c != "\n" and (ord(c) < 32 or 0x7f <= ord(c) < 0xa0 or c in "\u202e\u2028\u2029\u200e\u200f\u061c")]
sys.exit(repr(bad) if bad else 0)'
}

@test "hostile names of tensors and files: tables, pages, JSON, progress and errors, on a terminal and in a pipe" {
    local name=$'x\e[31m\n\u202ey.safetensors'
    mkdir -p h/models/controlnet
    hostile "h/models/controlnet/$name"
    on_a_terminal()
    {
        printf '%q ' "$DISTORCH2" "$@" >run
        on_terminal "$(cat run) 2>&1"
    }
    for command in 'models --long' 'inspect --all' 'inspect --tensors' 'plan --compute-device cpu' \
        'load --verify --compute-device cpu --virtual-vram-gb 0' \
        'load --progress=lines --compute-device cpu --virtual-vram-gb 0'; do
        for json in '' --json; do
            local model=("$name")
            [[ $command != models* && $command != *--all* ]] || model=()
            # shellcheck disable=SC2086
            on_a_terminal $command "${model[@]}" --comfyui h $json
            expect_status 0
            tame "$output"
            ! grep -q '^ERROR: faked' <<<"$output"
            # shellcheck disable=SC2086
            run bash -c '"$@" 2>&1' - "$DISTORCH2" $command "${model[@]}" --comfyui h $json
            expect_status 0
            tame "$output"
            ! grep -q '^ERROR: faked' <<<"$output"
        done
    done
    run_split inspect "$name" --tensors --comfyui h --json
    json '[t["name"] for t in doc["tensors"]][:2] == ["a\x1b[2Jb.weight", "c\nERROR: faked.weight"]'
    run_split inspect "$name" --tensors --comfyui h
    [[ $output == *'a\x1b[2Jb'* && $output == *'c\x0aERROR: faked'* && $output == *'d\u202egnp'* ]]
    on_a_terminal inspect $'no\e[2J\nERROR: faked' --comfyui h
    expect_status 4
    tame "$output"
    ! grep -q '^ERROR: faked' <<<"$output"
}
