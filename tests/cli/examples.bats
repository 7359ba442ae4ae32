# SPDX-License-Identifier: BSD-3-Clause
# The documents: their examples run, and they leave out nothing; the completion completes.
load ../support/cli

documents=(docs/man/distorch2.1 docs/man/distorch2-allocation.7 README)

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

# The commands of a document: its lines that begin with "$ distorch2".
examples()
{
    sed -n 's/^ *\$ \(distorch2 .*\)/\1/p' "$top_srcdir/$1"
}

# Whether a command names an OpenCL device that is not here.
lacks_a_device()
{
    local name
    for name in $(grep -oE 'opencl:[0-9]+' <<<"$1"); do
        grep -q "^$name " devices || return 0
    done
    return 1
}

@test "every example runs" {
    mkdir -p bin
    distorch2 devices >devices
    ln -s "$DISTORCH2" bin/distorch2
    for document in "${documents[@]}"; do
        count=0
        while IFS= read -r command; do
            echo "$document: $command"
            count=$((count + 1))
            lacks_a_device "$command" && continue
            PATH=$PWD/bin:$PATH run bash -c "$command"
            expect_status 0
        done < <(examples "$document")
        [ "$count" -gt 0 ]
    done
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
