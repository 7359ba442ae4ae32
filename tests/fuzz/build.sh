#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds every fuzz target, tests/fuzz/fuzz-NAME.c, into fuzz/NAME of the build folder, with all of the library.
#   FUZZ_CC       clang; afl-clang-fast builds the same for AFL++
#   FUZZ_CFLAGS   what the sources need to compile; FUZZ_LIBS what they need to link
#   arguments     the library's sources, from the top
set -eu
: "${FUZZ_CC:=clang}" "${top_srcdir:=.}" "${FUZZ_CFLAGS:=}" "${FUZZ_LIBS:=}"
sanitize='-fsanitize=address,undefined -fno-sanitize-recover=undefined'
compile="$FUZZ_CC -g -O1 $sanitize $FUZZ_CFLAGS"
mkdir -p fuzz/objects

# As many at a time as there are processors.
for source in "$@"; do
    case $source in
    *.c) echo "$source" ;;
    esac
done | xargs -P "$(getconf _NPROCESSORS_ONLN)" -I SOURCE sh -c '
    object=fuzz/objects/$(echo "$1" | tr / _).o
    $2 -fsanitize=fuzzer-no-link -c "$3/$1" -o "$object"' sh SOURCE "$compile" "$top_srcdir"

for target in "$top_srcdir"/tests/fuzz/fuzz-*.c; do
    name=$(basename "$target" .c)
    # shellcheck disable=SC2086
    $compile -fsanitize=fuzzer "$target" fuzz/objects/*.o $FUZZ_LIBS -o "fuzz/${name#fuzz-}"
done
