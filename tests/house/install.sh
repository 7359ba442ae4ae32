#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What `make install` gives, whether it works from there, and that `make uninstall` takes all of it away again.
set -u
src=${top_srcdir:-.}
build=${top_builddir:-.}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
stage=$work/stage
# The make that runs the tests is not this one.
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR
count=0
failed=0

# check WHAT COMMAND...: the command succeeds.
check() {
    what=$1
    shift
    count=$((count + 1))
    if "$@" >"$work/out" 2>&1; then
        echo "ok $count - $what"
    else
        failed=$((failed + 1))
        echo "not ok $count - $what"
        sed 's/^/# /' "$work/out"
    fi
}

# value VARIABLE: what the Makefile has in it, expanded.
value() {
    # shellcheck disable=SC2016 # make expands it
    printf 'include Makefile\nshow-value:\n\t@echo "$(%s)"\n' "$1" | make -s -C "$build" -f - show-value | tail -n 1
}

no_rpath() {
    ! readelf -d "$1" | grep -E 'R(UN)?PATH'
}

soname() {
    readelf -d "$1" | grep -F 'SONAME' | grep -F '[libdistorch2.so.0]'
}

# The installed tool, as a user would run it: nothing points back to the build.
installed() {
    env -u DISTORCH2_BACKEND_PATH LD_LIBRARY_PATH="$lib" POCL_DEVICES='pthread basic' "$bin/distorch2" "$@"
}

# It stands alone: no library is needed for it.
conformance() {
    env -u LD_LIBRARY_PATH DISTORCH2_BACKEND_PATH= "$stage$(value pkglibexecdir)/driver-conformance" host:0 >"$work/tap" || return
    grep '^# host:0: [0-9]* entries called' "$work/tap"
}

same_devices() {
    POCL_DEVICES='pthread basic' "$DISTORCH2" devices --json | grep '"name"' >"$work/expected"
    installed devices --json | grep '"name"' >"$work/got"
    diff "$work/expected" "$work/got"
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

# Nothing of pkg-config's answer may be filtered as being the system's: it is below the stage.
build_program() {
    flags=$(PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$stage PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 \
        PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 "$(value PKG_CONFIG)" --cflags --libs distorch2) || return
    # shellcheck disable=SC2046,SC2086 # flags are words
    $(value CC) $(value CFLAGS) -o "$work/program" "$work/program.c" $flags
}

run_program() {
    env -u DISTORCH2_BACKEND_PATH LD_LIBRARY_PATH="$lib" "$work/program" | grep "^distorch2 $(value PACKAGE_VERSION)\$"
}

bin=$stage$(value bindir)
lib=$stage$(value libdir)
modules=$stage$(value backenddir)
check "make install" make -s -C "$build" install DESTDIR="$stage"

check "the tool is there" test -x "$bin/distorch2"
check "the library is there, under its name for programs" test -f "$lib/libdistorch2.so.0"
check "and for compilers" test -f "$lib/libdistorch2.so"
check "its SONAME is libdistorch2.so.0" soname "$lib/libdistorch2.so.0"
check "pkg-config finds distorch2.pc" test -f "$lib/pkgconfig/distorch2.pc"
check "distorch2.h is there" test -f "$stage$(value includedir)/distorch2.h"
for header in "$src"/include/distorch2/*.h "$src"/include/distorch2/*.hpp; do
    name=${header##*/}
    check "distorch2/$name is there" test -f "$stage$(value pkgincludedir)/$name"
done
for page in $(value dist_man_MANS); do
    name=${page##*/}
    check "the manual has $name" test -f "$stage$(value mandir)/man${name##*.}/$name"
done
check "bash finds its completion" test -f "$stage$(value bashcompletiondir)/distorch2"
check "zsh finds its completion" test -f "$stage$(value zshcompletiondir)/_distorch2"
check "fish finds its completion" test -f "$stage$(value fishcompletiondir)/distorch2.fish"
for module in $(value backend_LTLIBRARIES); do
    check "the module ${module%.la}.so is beside the library" test -f "$lib/distorch2/${module%.la}.so"
    check "it carries no rpath" no_rpath "$modules/${module%.la}.so"
    check "nor a libtool file" test ! -e "$modules/$module"
done
check "the tool carries no rpath" no_rpath "$bin/distorch2"
check "nor does the library" no_rpath "$lib/libdistorch2.so.0"

check "the installed tool runs" installed --version
check "authors of drivers have the conformance program" conformance
check "and sees the same devices as the one that was built" same_devices
write_program
check "a program builds with pkg-config" build_program
check "and runs" run_program

check "make uninstall" make -s -C "$build" uninstall DESTDIR="$stage"
find "$stage" ! -type d >"$work/left"
find "$stage" -type d -name distorch2 >>"$work/left"
check "leaves no file, and no folder of ours" diff /dev/null "$work/left"

echo "1..$count"
[ $failed -eq 0 ]
