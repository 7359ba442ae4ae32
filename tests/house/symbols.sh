#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The public headers, the version script and the built library name the same functions; and each public header compiles alone, in
# C11 and in C++17.
set -u
. "${0%/*}/../support/tap.sh"
src=${top_srcdir:-.}
build=${top_builddir:-.}

sed -n 's/^ *\(dt2_[a-z0-9_]*\);$/\1/p' "$src/src/distorch2.map" | sort >"$work/map"
cat "$src"/include/distorch2/*.h | grep -v 'dt2_backend_entry(' | tr '\n' ' ' |
    grep -oE 'DT2_PUBLIC[^;{]*' | grep -oE '\bdt2_[a-z0-9_]+\(' | tr -d '(' | sort -u >"$work/headers"
comm -13 "$work/map" "$work/headers" >"$work/out"
nothing "every public function is in the version script" "$(cat "$work/out")"
comm -23 "$work/map" "$work/headers" >"$work/out"
nothing "every name of the version script is public" "$(cat "$work/out")"
sort "$work/map" | uniq -d >"$work/out"
nothing "no name stands twice in the version script" "$(cat "$work/out")"

library=$build/.libs/libdistorch2.so
if [ -f "$library" ] && command -v nm >/dev/null 2>&1; then
    nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u >"$work/exported"
    comm -13 "$work/map" "$work/exported" >"$work/out"
    nothing "the library exports nothing else" "$(cat "$work/out")"
    comm -23 "$work/map" "$work/exported" >"$work/out"
    nothing "the library exports all of it" "$(cat "$work/out")"
    nm -D --defined-only "$library" | awk '$2 == "T" && $3 !~ /@@DISTORCH2_/ { print $3 }' >"$work/out"
    nothing "every exported function has a version" "$(cat "$work/out")"
else
    skip "the exported symbols" "no shared library was built"
fi

if command -v readelf >/dev/null 2>&1; then
    readelf -d "$library" 2>/dev/null | grep NEEDED | grep -i mpi >"$work/out"
    nothing "the library links no MPI" "$(cat "$work/out")"
fi
for module in "$build"/.libs/dt2-*.so; do
    [ -f "$module" ] || continue
    nm -D --defined-only "$module" | awk '$2 == "T" && $3 != "dt2_backend_entry" { print $3 }' >"$work/out"
    nothing "$(basename "$module") exports dt2_backend_entry alone" "$(cat "$work/out")"
done

# compiles HEADER COMPILER STANDARD LANGUAGE
compiles() {
    printf '#include <%s>\n' "$1" >"$work/alone.$4"
    # shellcheck disable=SC2086 # a compiler may have arguments
    $2 -std=$3 -Wall -Wextra -Werror -pedantic -fsyntax-only -I"$src/include" "$work/alone.$4" >"$work/out" 2>&1
    nothing "$1 compiles alone as $3" "$(cat "$work/out")"
}
for header in "$src"/include/distorch2.h "$src"/include/distorch2/*.h; do
    name=${header#"$src"/include/}
    compiles "$name" "${CC:-cc}" c11 c
    if [ -n "${CXX:-}" ]; then
        compiles "$name" "$CXX" c++17 cc
    else
        skip "$name compiles alone as c++17" "no C++17 compiler"
    fi
done

# What a C++ program begins with: every macro that sets a struct up, without a cast of C's.
if [ -n "${CXX:-}" ]; then
    { echo '#include <distorch2.h>'; echo 'int main() {'
      grep -ohE 'DT2_[A-Z_]+_INIT' "$src"/include/distorch2/*.h | sort -u | while IFS= read -r macro; do
          name=$(echo "$macro" | sed 's/_INIT$//' | tr '[:upper:]' '[:lower:]')
          echo "{ struct $name made = $macro; static_cast<void>(made); }"
      done
      echo '}'; } >"$work/inits.cc"
    # shellcheck disable=SC2086
    $CXX -std=c++17 -Wall -Wextra -Wold-style-cast -Werror -fsyntax-only -I"$src/include" "$work/inits.cc" >"$work/out" 2>&1
    nothing "every struct can be set up in C++ without a warning of -Wold-style-cast" "$(cat "$work/out")"
else
    skip "structs in C++" "no C++17 compiler"
fi

finish
