#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# usage: cross.sh TARBALL [OPTION OF CONFIGURE]...
#
# Builds a tarball for aarch64 with Debian's cross compiler, and runs its unit tests under qemu's user mode with pages of 64 KiB, as
# kernels for servers have them. `make check-cross` runs this. The libraries of that machine come from Debian, once: into
# DISTORCH2_CROSS_ROOT, or cross/root here. Prints TAP of its own: a line for each program. DT2_CROSS_TESTS, the programs that are
# run, instead of all.
set -u
. "${0%/*}/../support/tap.sh"
tarball=$1
shift
host=aarch64-linux-gnu
pages=65536
here=$PWD/cross
root=${DISTORCH2_CROSS_ROOT:-$here/root}
packages=libc6-dev,libgcc-s1,libhwloc-dev,libjansson-dev,libyaml-dev,libxxhash-dev,liburing-dev,libssl-dev,opencl-headers,ocl-icd-opencl-dev

# What the emulator shows otherwise than a kernel does: PROGRAM.
otherwise() {
    case $1 in
    */test-ledger | */test-ranks | */test-rendezvous | */test-share) echo "qemu tells a process another start of itself than it tells others" ;;
    */test-io) echo "qemu's statx says nothing of direct reads" ;;
    */test-probe) echo "qemu has its own words for a process that ends by a signal" ;;
    esac
}

for tool in $host-gcc qemu-aarch64-static pkg-config; do
    command -v "$tool" >/dev/null || skip_all "$tool is not installed (Debian: gcc-aarch64-linux-gnu, qemu-user-static, pkg-config)"
done
mkdir -p "$here"
if [ ! -d "$root/usr/lib/$host/pkgconfig" ]; then
    command -v mmdebstrap >/dev/null || skip_all "mmdebstrap is not installed, and DISTORCH2_CROSS_ROOT names no root of arm64"
    # shellcheck source=/dev/null
    mmdebstrap --variant=extract --architectures=arm64 --include="$packages" \
        "$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")" "$root" >"$here/root.log" 2>&1 ||
        skip_all "no root of arm64 can be made here, perhaps for want of a network; see $here/root.log"
fi

chmod -R u+w "$here/source" "$here/build" 2>/dev/null
rm -rf "$here/source" "$here/build"
mkdir "$here/source" "$here/build"
gzip -dc "$tarball" | tar -xf - -C "$here/source" --strip-components=1 --no-same-owner
cd "$here/build" || exit 1
PKG_CONFIG_SYSROOT_DIR=$root
PKG_CONFIG_LIBDIR=$root/usr/lib/$host/pkgconfig:$root/usr/share/pkgconfig
export PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_LIBDIR
libraries=$root/usr/lib/$host
set -- --host=$host --without-vendor-headers "$@" CC="$host-gcc --sysroot=$root"
../source/configure -q "$@" >configure.log 2>&1 || { tail -n 20 configure.log; exit 1; }
make -s -j"$(nproc)" all >make.log 2>&1 || { tail -n 20 make.log; exit 1; }

# Programs of unit tests alone: scripts would run the tool by this machine's own kernel, and simulated drivers are another test.
of_makefile() {
    make -s -f - "cross-$1" <<'END'
include Makefile
cross-programs:
	@echo '$(filter $(check_PROGRAMS),$(filter tests/unit/%,$(TESTS)))'
cross-modules:
	@echo '$(filter tests/unit/%,$(check_LTLIBRARIES))'
END
}
programs=${DT2_CROSS_TESTS:-$(of_makefile programs)}
# shellcheck disable=SC2046,SC2086 # they are words
make -s -j"$(nproc)" $programs $(of_makefile modules) tests/support/mkmodel >>make.log 2>&1 || { tail -n 20 make.log; exit 1; }

emulate="qemu-aarch64-static -p $pages -L $root -E LD_LIBRARY_PATH=$here/build/.libs:$libraries"
for program in $programs; do
    reason=$(otherwise "$program")
    if [ -n "$reason" ]; then
        skip "$program" "$reason"
        continue
    fi
    log=$(basename "$program").log
    # shellcheck disable=SC2086 # it has words
    top_srcdir=../source top_builddir=. DISTORCH2_BACKEND_PATH=$here/build/.libs XDG_CACHE_HOME=$here/build/cache \
        timeout 600 $emulate "$program" >"$log" 2>&1
    ended=$?
    reason=$(sed -n 's/^1\.\.0 # SKIP //p' "$log")
    if [ $ended -eq 0 ] && [ -n "$reason" ]; then
        skip "$program" "$reason"
        continue
    fi
    words=$(grep -c '^not ok.*: qemu: uncaught target signal' "$log") # its own, where the program's are looked for
    wrong=$(($(grep -c '^not ok' "$log") - words))
    grep -A 3 '^not ok' "$log" >"$work/out"
    said="$(grep -c '^ok' "$log") passed, of them $(grep -c '^ok.*# SKIP' "$log") skipped, $wrong failed"
    [ "$words" -eq 0 ] || said="$said, $words not compared, for qemu's words"
    [ $ended -eq $((words > 0)) ] && [ $wrong -eq 0 ]
    verdict $? "$program: ended with $ended; $said"
done
finish
