#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Our declarations of CUDA and HIP beside the vendors' own, where configure found those: a compiler sees both. And each
# line of ours is seen to matter: with a mistake in every one it finds as many.
set -u
. "${0%/*}/../support/tap.sh"
src=${top_srcdir:-.}

# compile VENDOR FLAGS: what the compiler says of the headers in $work, with the vendor's own before them.
compile() {
    printf '#include "sim/%s_headers.h"\n' "$1" >"$work/both.c"
    # shellcheck disable=SC2086 # a compiler may have arguments, flags are words
    $CC $2 $many -std=gnu11 -Wall -Wextra -Werror -fsyntax-only -iquote "$work" -iquote "$work/tests" "$work/both.c" 2>&1
}

# The lines of the compiler's errors, as FILE:LINE; in a macro gcc names that of the macro, and then that of its use.
error_lines() {
    sed -n 's/^\([^ :]*:[0-9]*\):[0-9: ]*\(.*error\|note: in expansion of macro\).*/\1/p' | sort -u
}

fresh() {
    mkdir -p "$work/tests/sim"
    cp -f "$src/backends/gpu/declared.h" "$src/backends/$1/$1_decl.h" "$work"
    cp -f "$src/tests/sim/$1_headers.h" "$work/tests/sim"
    chmod u+w "$work"/*.h "$work"/tests/sim/*.h
}

# mistakes VENDOR FLAGS WHAT SCRIPT: each line that the script of sed changes must be an error.
mistakes() {
    fresh "$1"
    for file in "$work/$1_decl.h" "$work/tests/sim/$1_headers.h"; do
        sed "$4" "$file" >"$work/changed"
        diff "$file" "$work/changed" | sed -n 's/^\([0-9,]*\)c.*/\1/p' | tr ',' ' ' | while read -r first last; do
            seq "$first" "${last:-$first}"
        done | sed "s|^|$file:|" >>"$work/expected.unsorted"
        cp "$work/changed" "$file"
    done
    sort "$work/expected.unsorted" >"$work/expected"
    compile "$1" "$2" | error_lines >"$work/found"
    comm -23 "$work/expected" "$work/found" | unlisted | while IFS=: read -r file line; do
        sed -n "${line}p" "$file"
    done >"$work/missed"
    [ -s "$work/expected" ] || echo "nothing was changed" >"$work/missed"
    nothing "$1: $3: each of $(wc -l <"$work/expected") mistakes is one" "$(cat "$work/missed")"
    rm -f "$work/expected.unsorted"
}

# Leaves out the lines of what a vendor's older headers may lack.
unlisted() {
    while IFS=: read -r file line; do
        sed -n "${line}p" "$file" | grep -qwE "$optional" || echo "$file:$line"
    done
}
optional=$(sed -n '/_OPTIONAL_ENTRIES(X)/,/^$/p' "$src/backends/gpu/entries.h" | grep -oE '\b(cu|hip)[A-Za-z_0-9]{4,}' |
    sort -u | paste -sd '|' -)

# Each constant is one off, and the assertion of its name must say so.
wrong_constants() {
    fresh "$1"
    sed -i 's/^\( *X([A-Za-z_0-9]*, \)\([0-9a-fx]*\))/\1\2 + 1)/' "$work/$1_decl.h"
    sed -n 's/^ *X(\([A-Za-z_0-9]*\), .*/\1/p' "$work/$1_decl.h" | sort >"$work/expected"
    compile "$1" "$2" | sed -n 's/.*error: static.*[ "]\([A-Za-z_0-9]*\) is not what the vendor has.*/\1/p' | sort >"$work/found"
    diff "$work/expected" "$work/found" >"$work/missed"
    nothing "$1: each of $(wc -l <"$work/expected") constants is compared" "$(cat "$work/missed")"
}

# vendor NAME GUARD FLAGS
vendor() {
    if [ -z "$3" ]; then
        skip "$1" "there are no headers of the vendor's to compare with (configure --with-$1=DIR)"
        return
    fi
    fresh "$1"
    compile "$1" "$3" >"$work/out"
    nothing "$1: ours are the vendor's" "$(cat "$work/out")"
    printf '#include "sim/%s_headers.h"\n#ifndef %s\n#error not read\n#endif\n' "$1" "$2" >"$work/read.c"
    # shellcheck disable=SC2086
    $CC $3 -E -iquote "$work" -iquote "$work/tests" "$work/read.c" 2>&1 >/dev/null | grep error >"$work/out"
    nothing "$1: the vendor's were read" "$(cat "$work/out")"
    wrong_constants "$1" "$3"
    mistakes "$1" "$3" "what functions return" \
        's/^\(cudaError_t\|hipError_t\|CUresult\|const char \*\|int\) *\([a-z][A-Za-z_0-9]*(\)/double \2/'
    mistakes "$1" "$3" "what they are given" 's/^\([A-Za-z_].*[a-zA-Z_] \*\{0,2\}\)\([a-z_]*[,)].*\)$/\1***\2/'
    mistakes "$1" "$3" "types" \
        's/^typedef \(int\|unsigned long long\|void \*\) *\([A-Za-z]\)/typedef short \2/; s/^typedef struct \(.*\*\)/typedef struct other_\1/'
    mistakes "$1" "$3" "sizes" 's/^\(DT2_DECLARED_SIZE(.*, \)/\11 + /; s/^\(DT2_DECLARED_MEMBER.*char\)\[/\1[1 + /'
}

many=
if $CC -ferror-limit=0 -fsyntax-only -x c /dev/null 2>/dev/null; then
    many=-ferror-limit=0
fi
vendor cuda __CUDA_RUNTIME_API_H__ "${CUDA_REAL_CPPFLAGS:-}"
vendor hip HIP_INCLUDE_HIP_HIP_RUNTIME_API_H "${HIP_REAL_CPPFLAGS:-}"
finish
