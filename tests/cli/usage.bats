# SPDX-License-Identifier: BSD-3-Clause
# Help, version, and what is answered to a command line that is wrong.
load ../support/cli

setup()
{
    cd "$BATS_TEST_TMPDIR" || return
}

@test "help of the tool and of each command fits a screen" {
    for command in '' devices models inspect plan load run verify bench shared; do
        # shellcheck disable=SC2086
        run_split $command --help
        expect_status 0
        [ "${#lines[@]}" -gt 5 ]
        [ "$(printf '%s\n' "$output" | wc -l)" -le 24 ]
        [ "$(printf '%s\n' "$output" | wc -L)" -le 80 ]
        [ -z "$errors" ]
    done
}

@test "-h is --help, and so is the command help; -V is --version" {
    [ "$(distorch2 -h)" = "$(distorch2 --help)" ]
    [ "$(distorch2 plan -h)" = "$(distorch2 plan --help)" ]
    [ "$(distorch2 help)" = "$(distorch2 --help)" ]
    [ "$(distorch2 help plan)" = "$(distorch2 plan --help)" ]
    [ "$(distorch2 -V)" = "$(distorch2 --version)" ]
    [ "$(distorch2 load -V)" = "$(distorch2 --version)" ]
    run_split help plann
    expect_status 2
    [[ $errors == *"there is no command 'plann'"*plan* ]]
    run_split help plan load
    expect_status 2
}

@test "help names every command" {
    run distorch2 --help
    for command in devices models inspect plan load run verify bench shared; do
        [[ $output == *"  $command "* ]]
    done
}

@test "the version is one line" {
    run distorch2 --version
    expect_status 0
    [[ ${lines[0]} =~ ^distorch2\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
    [ "${#lines[@]}" -eq 1 ]
    [ "$(distorch2 plan --version)" = "$output" ]
}

@test "no command" {
    run_split
    expect_status 2
    [ -z "$output" ]
    [[ $errors == *'a command is missing'* ]]
}

# Rows of: the words, then what the hint must hold.
misspelt=(
    'lod|load'
    'modles|models'
    'insepct|inspect'
    'plan x --compute-devise=cpu|--compute-device'
    'plan x --vram-gb 4|--virtual-vram-gb'
    'plan x --jsno|--json'
    'plan x -json|--json'
    'load x --verfy|--verify'
    'load x --eject_models|--eject-models'
    '--hepl|--help'
    'plan x --machine|--machine=FILE'
    'plan x --reserve cpu|--reserve cpu='
    'plan x --reserve cpu=4|4gb'
    'plan x --virtual-vram-gb 129|decimal number'
    'plan x --eject-models=maybe|--eject-models=true'
    'plan x --ver|--verbose, --version'
    'load x --v|--virtual-vram-gb'
    'frobnicate|devices, models, inspect, plan, load, run, verify, bench and shared'
)

@test "what is misspelt is answered with the nearest that exists: exit 2" {
    for row in "${misspelt[@]}"; do
        # shellcheck disable=SC2086
        run_split ${row%|*}
        echo "$row"
        expect_status 2
        [ -z "$output" ]
        [[ $errors == distorch2:\ *$'\n'hint:\ *"${row#*|}"* ]]
    done
}

@test "the same in JSON, on standard output alone" {
    need_python
    for row in "${misspelt[@]}"; do
        # shellcheck disable=SC2086
        run_split ${row%|*} --json
        [ "${row%|*}" = 'plan x --machine' ] && continue # takes --json for its value
        echo "$row"
        expect_status 2
        [ -z "$errors" ]
        json 'list(doc) == ["error"] and set(doc["error"]) == {"code", "message", "suggestion"}'
        json 'doc["error"]["code"] == 2 and doc["error"]["message"] and doc["error"]["suggestion"]'
    done
}

@test "--json counts wherever it stands before --, also abbreviated" {
    for words in '--json lod' 'lod --json' 'lod --js' 'plan a b --json' 'plan --json a b'; do
        # shellcheck disable=SC2086
        run_split $words
        expect_status 2
        [[ $output == '{'* ]]
    done
    run_split plan a b -- --json
    expect_status 2
    [ -z "$output" ]
}

@test "an option of another command is not this one's" {
    run_split plan x --verify
    expect_status 2
    [[ $errors == *"plan has no option '--verify'"* ]]
}

@test "arguments that are missing or too many" {
    for words in inspect plan load run verify 'plan a b' 'devices x' 'models a b'; do
        # shellcheck disable=SC2086
        run_split $words
        expect_status 2
    done
}

@test "control characters of the command line are shown, not sent" {
    run_split plan $'a\e[31mb' extra
    run_split $'lo\e[31md'
    expect_status 2
    [[ $errors != *$'\e'* ]]
    [[ $errors == *'\x1b[31m'* ]]
}

@test "output that cannot be written is a failure" {
    [ -w /dev/full ] || skip 'there is no /dev/full'
    run bash -c '"$0" --help >/dev/full' "$DISTORCH2"
    expect_status 1
    [[ $output == *'No space left'* ]]
    make_catalogue
    export COMFYUI_PATH=$BATS_FILE_TMPDIR/comfy
    # More than a buffer holds: what failed was long ago when the command ends.
    for command in 'models --json' 'inspect --all --json' 'inspect tiny.safetensors --tensors' 'inspect tiny.safetensors' \
        'plan tiny.safetensors --compute-device cpu' 'load tiny.safetensors --compute-device cpu --virtual-vram-gb 0'; do
        run bash -c '"$0" $1 >/dev/full' "$DISTORCH2" "$command"
        expect_status 1
        [[ $output == *'cannot write to standard output: No space left'* ]]
    done
    run bash -c '"$0" --help >&-' "$DISTORCH2"
    expect_status 1
}

@test "a reader that left is a failure without a word" {
    run bash -c 'set -o pipefail; { sleep 0.2; "$0" --help; } | true' "$DISTORCH2"
    expect_status 1
    [ -z "$output" ]
}
