# SPDX-License-Identifier: BSD-3-Clause
# The manual leaves out nothing, and is well-formed. (tests/docs/blocks.py runs what the pages show.)
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
    for command in devices models inspect plan load run verify bench; do
        [[ $page == *".SS $command"* ]]
        while read -r option; do
            echo "$command $option"
            [[ $page == *"$option"* ]]
        done < <(distorch2 "$command" --help | sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p')
    done
}

@test "the pages are well-formed" {
    command -v groff >/dev/null || skip 'groff is not installed'
    for page in "$top_srcdir"/docs/man/distorch2*.[17]; do
        run groff -man -Tutf8 -wall -z "$page"
        [ -z "$output" ]
    done
}
