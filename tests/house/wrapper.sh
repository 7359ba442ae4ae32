#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# distorch2.hpp compiles without a warning, in each C++ compiler and standard that is here, and does what wrapper.cc asks of it.
set -u
. "${0%/*}/../support/tap.sh"
src=${top_srcdir:-.}
build=${top_builddir:-.}
[ -z "${CXX:-}" ] && skip_all "there is no C++ compiler"
grep -q -e __asan_init -e __tsan_init "$build/.libs/libdistorch2.so" 2>/dev/null && skip_all "the library wants a sanitizer's runtime, which a program of others does not have"
"$build/tests/support/mkmodel" "$src/tests/data/layouts/tiny.tsv" "$work/tiny.safetensors" || exit 1
LD_LIBRARY_PATH="$build/.libs:${LD_LIBRARY_PATH-}"
export LD_LIBRARY_PATH

try() { # COMPILER STANDARD
    # shellcheck disable=SC2086 # a compiler may have arguments
    $1 -std="$2" -Wall -Wextra -Wpedantic -Wold-style-cast -Werror -I"$src/include" "$src/tests/house/wrapper.cc" \
        -L"$build/.libs" -ldistorch2 -o "$work/wrapper" >"$work/out" 2>&1
    verdict $? "$1 compiles it as $2 without a warning"
    if ! [ -x "$work/wrapper" ]; then
        return
    fi
    "$work/wrapper" "$work/tiny.safetensors" >"$work/out" 2>&1 && ! grep -q '^not ok' "$work/out"
    verdict $? "and all of its $(grep -c '^ok' "$work/out") checks hold"
    rm -f "$work/wrapper"
}

try "$CXX" c++11
try "$CXX" c++17
for other in g++ clang++; do
    case "$CXX" in
    *"$other"*) continue ;;
    esac
    if command -v "$other" >/dev/null 2>&1; then
        try "$other" c++11
    fi
done

finish
