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
    for command in devices models inspect plan load run verify bench shared; do
        [[ $page == *".SS $command"* ]]
        while read -r option; do
            echo "$command $option"
            [[ $page == *"$option"* ]]
        done < <(distorch2 "$command" --help | sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p')
    done
}

@test "each command has a page, with its options, its documents and no other's" {
    for command in $(distorch2 help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
        page=$(sed 's/\\-/-/g' "$top_builddir/docs/man/distorch2-$command.1")
        [[ $page == *".SH NAME"*"distorch2-$command - "*".B distorch2 $command"*".SH DESCRIPTION"*".SH \"SEE ALSO\""* ]]
        while read -r option; do
            echo "$command $option"
            grep -qE "^\.[BRI]+ .*$option( |\$)" <<<"$page"
        done < <(distorch2 --complete "$command" -- | cut -f1 | sed 's/=.*//')
        [[ $page == *$'\n'"$command "*'{"'* ]]
    done
    [ "$(ls "$top_builddir"/docs/man/distorch2-*.1 | wc -l)" -ge 8 ]
    ! grep -l '"passes": ' "$top_builddir"/docs/man/distorch2-{devices,models,inspect,plan,verify}.1
}

@test "the pages are well-formed" {
    command -v groff >/dev/null || skip 'groff is not installed'
    for page in "$top_srcdir"/docs/man/distorch2*.[17] "$top_builddir"/docs/man/distorch2-*.1; do
        echo "$page"
        run groff -man -Tutf8 -wall -z "$page"
        [ -z "$output" ]
    done
}

@test "mandoc finds nothing wrong with the pages" {
    command -v mandoc >/dev/null || skip 'mandoc is not installed'
    for page in "$top_srcdir"/docs/man/distorch2*.[17] "$top_builddir"/docs/man/distorch2-*.1; do
        run mandoc -Tlint -Wwarning "$page"
        echo "$output"
        [ -z "$output" ]
    done
}
