# SPDX-License-Identifier: BSD-3-Clause
# Completion: what the tool offers, and that each shell shows it.
load ../support/cli

setup_file()
{
    make_catalogue
}

setup()
{
    use_catalogue
    export top_srcdir
    mkdir -p bin
    printf '%s\n' '#!/bin/sh' "exec '$DISTORCH2' \"\$@\"" >bin/distorch2
    chmod +x bin/distorch2
}

# offers WORD...: the candidates for the last word, without what they are.
offers()
{
    run_split --complete "$@"
    expect_status 0
    [ -z "$errors" ]
    candidates=$(printf '%s\n' "$output" | cut -f1)
}

@test "commands, and help of each" {
    offers ''
    [[ $candidates == *devices*models*inspect*plan*load*help* ]]
    offers in
    [ "$candidates" = inspect ]
    offers help pl
    [ "$candidates" = plan ]
}

@test "every option of every command" {
    for command in devices models inspect plan load run verify bench shared; do
        offers "$command" --
        while read -r option; do
            echo "$command $option"
            grep -qx -e "$option" <<<"$candidates"
        done < <(distorch2 "$command" --help | sed -n 's/^  \(--[a-z0-9-]*=\{0,1\}\).*/\1/p')
        grep -qx -e --quiet <<<"$candidates"
    done
    offers plan --virt
    [ "$candidates" = --virtual-vram-gb= ]
}

@test "values: devices, lists of them, limits, choices" {
    offers plan --compute-device cp
    [ "$candidates" = cpu ]
    offers plan --compute-device=cp
    [ "$candidates" = --compute-device=cpu ]
    offers plan --donor-device cpu,c
    [ "$candidates" = cpu,cpu ]
    offers load --reserve c
    [ "$candidates" = cpu= ]
    offers load --eject-models=t
    [ "$candidates" = --eject-models=true ]
    offers load --progress ''
    [ "$candidates" = $'auto\nbar\nlines\njson\nnone' ]
    offers devices --log-level w
    [ "$candidates" = warning ]
}

@test "models, of the folder that was named, and files" {
    offers inspect ti
    [ "$candidates" = $'tiny.safetensors\n:files' ]
    mkdir -p other/models/controlnet
    cp "$COMFY/models/controlnet/tiny.safetensors" other/models/controlnet/elsewhere.safetensors
    offers plan --comfyui other e
    [ "$candidates" = $'elsewhere.safetensors\n:files' ]
    offers plan --machine m
    [ "$candidates" = :files ]
    offers plan --comfyui ''
    [ "$candidates" = :folders ]
}

@test "what is wrong before it is no failure, and nothing is said" {
    offers plan --nonsense x
    offers frobnicate x
    [ -z "$candidates" ]
    run_split --complete
    expect_status 0
    [ -z "$output$errors" ]
}

# What bash offers for a command line that ends at the cursor.
complete_line()
{
    run bash -c '
        source "$top_srcdir/docs/completion/distorch2.bash"
        COMP_LINE=$1 COMP_POINT=${#1}
        _distorch2 bin/distorch2
        printf "%s\n" "${COMPREPLY[@]}"' - "$1"
}

@test "bash" {
    complete_line 'distorch2 '
    [[ $output == *devices*models*inspect*plan*load* ]]
    complete_line 'distorch2 in'
    [ "$output" = 'inspect ' ]
    complete_line 'distorch2 plan --virt'
    [ "$output" = '--virtual-vram-gb=' ]
    complete_line 'distorch2 plan --compute-device=cp'
    [[ $output == 'cpu '* ]]
    complete_line 'distorch2 plan --donor-device cpu,c'
    [[ $output == 'cpu,cpu '* ]]
    complete_line 'distorch2 inspect ti'
    [ "$output" = 'tiny.safetensors ' ]
    touch machine.json
    complete_line 'distorch2 plan --machine=mach'
    [ "$output" = machine.json ]
    if distorch2 devices | grep -q '^opencl:0 '; then
        complete_line 'distorch2 plan --compute-device opencl:'
        [[ $output == '0 '* ]]
    fi
}

@test "zsh" {
    command -v zsh >/dev/null || skip 'zsh is not installed'
    # what the shell's own functions would be given
    complete_zsh()
    {
        run zsh -f -c '
            compadd() { local a name; for a; do name=$a; done; print -rl -- ${(P)name}; }
            compset() { return 1; }
            _files() { print -r -- files $@; }
            words=("$@") CURRENT=$#
            source "$top_srcdir/docs/completion/_distorch2"' - "$@"
    }
    complete_zsh bin/distorch2 in
    [ "$output" = inspect ]
    complete_zsh bin/distorch2 plan --compute-device=cp
    [ "$output" = --compute-device=cpu ]
    complete_zsh bin/distorch2 plan --virt
    [ "$output" = --virtual-vram-gb= ]
    complete_zsh bin/distorch2 inspect ti
    [ "$output" = tiny.safetensors ]
    complete_zsh bin/distorch2 plan --comfyui ''
    [ "$output" = 'files -/' ]
}

@test "fish" {
    command -v fish >/dev/null || skip 'fish is not installed'
    complete_fish()
    {
        PATH=$PWD/bin:$PATH HOME=$PWD run fish --no-config -c '
            source $top_srcdir/docs/completion/distorch2.fish
            complete -C $argv[1]' "$1"
        output=$(cut -f1 <<<"$output")
    }
    complete_fish 'distorch2 in'
    [ "$output" = inspect ]
    complete_fish 'distorch2 plan --compute-device cp'
    [ "$output" = cpu ]
    complete_fish 'distorch2 plan --virt'
    [ "$output" = --virtual-vram-gb= ]
    complete_fish 'distorch2 inspect ti'
    [ "$output" = tiny.safetensors ]
}
