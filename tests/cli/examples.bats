# SPDX-License-Identifier: BSD-3-Clause
# The manual leaves out nothing, and the completion completes. (tests/docs/blocks.py runs what the pages show.)
load ../support/cli

setup_file()
{
    make_catalogue
    local folder=$BATS_FILE_TMPDIR/comfy/models/controlnet
    mv "$folder/tiny.safetensors" "$folder/control.safetensors"
    mv "$folder/plain.safetensors" "$folder/adapter.safetensors"
    rm -r "$folder/sub" "$folder/broken.safetensors"
}

setup()
{
    use_catalogue
}

@test "the manual has every option and every command" {
    page=$(sed 's/\\-/-/g' "$top_srcdir/docs/man/distorch2.1")
    for command in devices models inspect plan load; do
        [[ $page == *".SS $command"* ]]
        while read -r option; do
            echo "$command $option"
            [[ $page == *"$option"* ]]
        done < <(distorch2 "$command" --help | sed -n 's/^  \(--[a-z-]*\).*/\1/p')
    done
}

@test "the pages are well-formed" {
    command -v groff >/dev/null || skip 'groff is not installed'
    for page in "$top_srcdir"/docs/man/distorch2*.[17]; do
        run groff -man -Tutf8 -wall -z "$page"
        [ -z "$output" ]
    done
}

# What completion offers for a command line that ends at the cursor.
complete_line()
{
    printf '%s\n' "#!/bin/sh" "exec '$DISTORCH2' \"\$@\"" >distorch2
    chmod +x distorch2
    run bash -c '
        source "$top_srcdir/docs/completion/distorch2.bash"
        COMP_LINE=$1 COMP_POINT=${#1}
        read -ra COMP_WORDS <<<"$1"
        [[ $1 == *" " ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _distorch2 ./distorch2
        printf "%s\n" "${COMPREPLY[@]}"' - "$1"
}

@test "completion offers commands, options, devices and models" {
    export top_srcdir
    complete_line 'distorch2 '
    [[ $output == *devices*models*inspect*plan*load* ]]
    complete_line 'distorch2 in'
    [ "$output" = 'inspect ' ]
    complete_line 'distorch2 plan --virt'
    [ "$output" = '--virtual-vram-gb=' ]
    complete_line 'distorch2 load --ver'
    [[ $output == *--verbose*--version* || $output == *--verify*--verbose* ]]
    complete_line 'distorch2 plan --compute-device=cp'
    [[ $output == 'cpu '* ]]
    complete_line 'distorch2 plan --donor-device cpu,c'
    [[ $output == 'cpu,cpu '* ]]
    complete_line 'distorch2 inspect con'
    [ "$output" = 'control.safetensors ' ]
}
