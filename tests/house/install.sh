#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What `make install` gives, whether it works from there, and that `make uninstall` takes all of it away again.
set -u
. "${0%/*}/../support/tap.sh"
src=${top_srcdir:-.}
build=${top_builddir:-.}
stage=$work/stage
# The make that runs the tests is not this one.
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR

# value VARIABLE: what the Makefile has in it, expanded.
value() {
    # shellcheck disable=SC2016 # make expands it
    printf 'include Makefile\nshow-value:\n\t@echo "$(%s)"\n' "$1" | make -s -C "$build" -f - show-value | tail -n 1
}

no_rpath() {
    ! readelf -d "$1" | grep -E 'R(UN)?PATH'
}

# What leads from the tool to the library, and first of all from where the tool itself is.
own_runpath() {
    said=$(readelf -d "$1" | sed -n 's/.*(RUNPATH).*\[\$ORIGIN\/\([^]:]*\).*/\1/p')
    test -n "$said" && test "$(cd "${1%/*}/$said" && pwd -P)" = "$(cd "$lib" && pwd -P)"
}

soname() {
    readelf -d "$1" | grep -F 'SONAME' | grep -F '[libdistorch2.so.0]'
}

# The installed tool, as a user would run it: nothing points back to the build.
installed() {
    env -u DISTORCH2_BACKEND_PATH ${paths:+"$paths"} POCL_DEVICES='pthread basic' "$bin/distorch2" "$@"
}

same_devices() {
    POCL_DEVICES='pthread basic' "$DISTORCH2" devices --json | grep '"name"' >"$work/expected"
    installed devices --json | grep '"name"' >"$work/got"
    diff "$work/expected" "$work/got"
}

# That of MPI's, where it was built, finds the library beside it, for programs that name only that.
beside() {
    [ ! -e "$lib/libdistorch2-mpi.so.0" ] || env -u LD_LIBRARY_PATH ldd "$lib/libdistorch2-mpi.so.0" >"$work/needs" &&
        ! grep 'libdistorch2\.so.*not found' "$work/needs" 2>&1
}

# All that make installcheck tries.
all_of_it() {
    make -s -C "$build" installcheck DESTDIR="$stage" installed_env="$paths" >"$work/tried" 2>&1 || grep -A 9 '^not ok' "$work/tried"
    grep -q '^1\.\.' "$work/tried" && ! grep -q '^not ok' "$work/tried"
}

# The same as a check, where programs of others can have the library.
check_all_of_it() {
    if grep -q -e __asan_init -e __tsan_init "$build/.libs/libdistorch2.so" 2>/dev/null; then
        skip "$1" "the library wants a sanitizer's runtime, which a program of others does not have"
    else
        check "$1" all_of_it
    fi
}

# The whole, in another folder.
move() {
    mkdir -p "$work/moved/deeper" && mv "$stage" "$work/moved/deeper/here" && stage=$work/moved/deeper/here &&
        bin=$stage$(value bindir) && lib=$stage$(value libdir)
}

bin=$stage$(value bindir)
lib=$stage$(value libdir)
modules=$stage$(value backenddir)
# Where configure was to leave none, the linker is told.
paths=
[ -n "$(value RPATH_LDFLAGS)" ] || paths=LD_LIBRARY_PATH=$lib
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
    check "the module ${module%.la}.so is beside the library" test -f "$lib/distorch2/0/${module%.la}.so"
    check "it carries no rpath" no_rpath "$modules/${module%.la}.so"
    check "nor a libtool file" test ! -e "$modules/$module"
done
if [ -n "$paths" ]; then
    check "the tool carries no rpath" no_rpath "$bin/distorch2"
else
    check "the tool finds the library from where it is" own_runpath "$bin/distorch2"
fi
check "the library carries no rpath" no_rpath "$lib/libdistorch2.so.0"

check "the installed tool runs" installed --version
check "and sees the same devices as the one that was built" same_devices
check_all_of_it "it passes make installcheck"
if [ -z "$paths" ]; then
    check "it is moved" move
    check "the tool runs there" installed --version
    check "and sees the same devices" same_devices
    check "a library that needs the library finds it" beside
    check_all_of_it "programs build and run with what is there"
    check "it is moved back" mv "$stage" "$work/stage"
    stage=$work/stage
fi

check "make uninstall" make -s -C "$build" uninstall DESTDIR="$stage"
find "$stage" ! -type d >"$work/left"
find "$stage" -type d -name distorch2 >>"$work/left"
check "leaves no file, and no folder of ours" diff /dev/null "$work/left"

finish
