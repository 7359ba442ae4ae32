#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What `make install` gave, tried as users do, with nothing of the build: the tool, the modules, headers in C and C++,
# distorch2.pc, the examples, the manual pages, the program for authors of drivers. make installcheck runs it for the folders of
# the build, a package's own test for those of the system.
#
# Environment: DESTDIR; bindir, libdir, includedir, mandir, docdir, pkglibexecdir, backenddir; modules, the names of those that
# should be there; CC, CXX, PKG_CONFIG. What is not set is what a distribution has. installed_env: what the tool needs around it.
set -u
. "${0%/*}/../support/tap.sh"
triplet=$(${CC:-cc} -print-multiarch 2>/dev/null || :)
: "${DESTDIR=}" "${bindir=/usr/bin}" "${libdir=/usr/lib${triplet:+/$triplet}}" "${includedir=/usr/include}"
: "${mandir=/usr/share/man}" "${docdir=/usr/share/doc/distorch2}" "${pkglibexecdir=/usr/libexec/distorch2}"
: "${backenddir=$libdir/distorch2/0}" "${modules=}" "${CC=cc}" "${CXX=c++}" "${PKG_CONFIG=pkg-config}" "${installed_env=}"

# The tool, or a program, as a user has it.
plainly() {
    # shellcheck disable=SC2086 # words
    env -u DISTORCH2_BACKEND_PATH $installed_env POCL_DEVICES='pthread basic' HOME="$work" "$@"
}

tool() {
    plainly "$DESTDIR$bindir/distorch2" "$@"
}

version() {
    tool --version | grep -E '^distorch2 [0-9]+\.[0-9]+'
}

# A module that cannot be opened is a warning; one that has nothing to drive is none.
devices() {
    tool devices >"$work/devices" 2>"$work/warnings" && grep '^cpu ' "$work/devices" && ! grep 'module' "$work/warnings"
}

completes() {
    tool --complete pl | grep -x 'plan.*'
}

module() {
    file=$DESTDIR$backenddir/dt2-$1.so
    test -f "$file" && plainly DISTORCH2_BACKEND_PATH="$DESTDIR$backenddir" "$DESTDIR$bindir/distorch2" devices --verbose
}

# It stands alone: it needs no library of ours.
conformance() {
    plainly DISTORCH2_BACKEND_PATH= "$DESTDIR$pkglibexecdir/driver-conformance" host:0 >"$work/tap" || return
    grep '^# host:0: [0-9]* entries called' "$work/tap"
}

# What pkg-config says. Nothing may be left out of it as being the system's where it is below a stage.
flags() {
    if [ -n "$DESTDIR" ]; then
        PKG_CONFIG_PATH=$DESTDIR$libdir/pkgconfig PKG_CONFIG_SYSROOT_DIR=$DESTDIR PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 \
            PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 $PKG_CONFIG "$@" distorch2
    else
        PKG_CONFIG_PATH=$libdir/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH} $PKG_CONFIG "$@" distorch2
    fi
}

backends_named() {
    test "$(flags --variable=backenddir | sed 's|//*|/|g; s|/[^/]*/\.\.||g; s|/[^/]*/\.\.||g')" = "$DESTDIR$backenddir" ||
        test -d "$(flags --variable=backenddir)"
}

header() { # NAME COMPILER STANDARD EXTENSION
    printf '#include <%s>\n' "$1" >"$work/header.$4"
    # shellcheck disable=SC2046,SC2086 # compilers have arguments, flags are words
    $2 -std="$3" -Wall -Wextra -Werror -fsyntax-only "$work/header.$4" $(flags --cflags)
}

build() { # SOURCE PROGRAM
    # shellcheck disable=SC2046,SC2086
    $CC -std=c11 -o "$2" "$1" $(flags --cflags --libs)
}

write_program() {
    cat >"$work/program.c" <<'END'
#include <distorch2.h>
#include <stdio.h>

int main(void)
{
    struct dt2_context *context;
    struct dt2_error error;
    if (dt2_context_create(NULL, &context, &error) < 0)
        return fprintf(stderr, "%s\n", error.text), 1;
    printf("distorch2 %s\n", dt2_version());
    dt2_context_destroy(context);
    return 0;
}
END
}

same_version() {
    plainly "$work/program" >"$work/said" && tool --version | grep -xF "$(cat "$work/said")"
}

# A model of one small tensor, which the examples load.
write_model() {
    { printf '\120\0\0\0\0\0\0\0'
      printf '%-80s' '{"control_model.a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
      printf '01234567'; } >"$work/model.safetensors"
}

example() {
    source=$DESTDIR$docdir/examples/$1.c
    if [ -f "$source.gz" ]; then
        gunzip -c "$source.gz" >"$work/$1.c"
        source=$work/$1.c
    fi
    shift
    build "$source" "$work/example" && plainly "$work/example" "$@"
}

page() {
    file=$(find "$DESTDIR$mandir" -name "$1" -o -name "$1.gz" | head -n 1)
    test -s "$file" || return 1
    command -v man >/dev/null 2>&1 || return 0
    LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings -l "$file" >"$work/page" 2>"$work/warnings" && test ! -s "$work/warnings" &&
        grep -q '^NAME' "$work/page"
}

check "the tool runs" version
check "it finds the host, and no module that is broken" devices
check "it completes its commands" completes
for name in $modules; do
    check "the module for $name is there and opens" module "$name"
done
if [ -x "$DESTDIR$pkglibexecdir/driver-conformance" ]; then
    check "authors of drivers have the conformance program" conformance
else
    skip "the conformance program" "it is not installed"
fi

if [ -f "$DESTDIR$includedir/distorch2.h" ]; then
    check "distorch2.pc names the folder of modules" backends_named
    for file in "$DESTDIR$includedir"/distorch2.h "$DESTDIR$includedir"/distorch2/*.h; do
        name=${file#"$DESTDIR$includedir/"}
        check "$name compiles in C" header "$name" "$CC" c11 c
        if [ -n "$CXX" ]; then
            check "$name compiles in C++" header "$name" "$CXX" c++17 cc
        else
            skip "$name in C++" "there is no C++17 compiler"
        fi
    done
    if [ -n "$CXX" ]; then
        check "distorch2.hpp compiles" header distorch2/distorch2.hpp "$CXX" c++17 cc
    fi
    write_program
    check "a program builds with pkg-config" build "$work/program.c" "$work/program"
    check "it runs, and is of the tool's version" same_version
    write_model
    check "docs/examples/read.c builds and runs" example read "$work/model.safetensors"
    check "docs/examples/plan.c builds and runs" example plan 'cpu,*'
    check "docs/examples/load.c builds and runs" example load "$work/model.safetensors" 'cpu,*' control_model.a
else
    skip "headers, pkg-config and examples" "they are not installed"
fi

pages="distorch2.1 distorch2.7 distorch2-allocation.7 distorch2-driver.7"
for command in $(tool help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
    pages="$pages distorch2-$command.1"
done
for name in $pages; do
    check "the manual has $name" page "$name"
done

finish
