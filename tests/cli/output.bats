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
    json '{"name", "aliases", "driver", "kind", "vendor", "model", "pci", "uuid", "numa_node", "total_bytes",
           "free_bytes", "alignment_bytes", "max_alloc_bytes", "budgets", "links"} <= set(doc["devices"][0])'
}

@test "devices: another machine from hwloc, node by node" {
    HWLOC_SYNTHETIC='pack:2 numa:1 core:2 pu:1' DISTORCH2_BACKEND_PATH='' run_split devices
    expect_status 0
    [[ $output == *$'\ncpu:0 '* && $output == *$'\ncpu:1 '* ]]
    [[ $output == *unknown* ]]
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
