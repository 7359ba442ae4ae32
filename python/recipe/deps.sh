#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Builds hwloc, jansson, libyaml and xxhash as static libraries for a wheel, where the distribution has none:
#     recipe/deps.sh PREFIX; DISTORCH2_DEPS=PREFIX pip wheel .
# Needs git, a compiler, autoconf, automake, libtool and a network.
set -eu
prefix=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
jobs=$(nproc)
export CFLAGS="${CFLAGS:--O2} -fPIC -fvisibility=hidden"
mkdir -p "$prefix/licenses"

# release NAME TAG ADDRESS LICENSE: a release, and its license beside the libraries.
release() {
    git -c advice.detachedHead=false clone --quiet --depth 1 --branch "$2" "https://github.com/$3" "$work/$1"
    cp "$work/$1/$4" "$prefix/licenses/$1"
    cd "$work/$1"
}

release hwloc hwloc-2.9.3 open-mpi/hwloc COPYING
./autogen.sh
./configure --quiet --prefix="$prefix" --enable-static --disable-shared --with-pic --disable-libxml2 --disable-pci \
    --disable-opencl --disable-cuda --disable-nvml --disable-rsmi --disable-levelzero --disable-gl --disable-cairo \
    --disable-libudev --disable-plugins --disable-doxygen --disable-readme
make -j"$jobs" install

release jansson v2.14 akheron/jansson LICENSE
autoreconf -fi
./configure --quiet --prefix="$prefix" --enable-static --disable-shared --with-pic
make -j"$jobs" install

release yaml 0.2.5 yaml/libyaml License
./bootstrap
./configure --quiet --prefix="$prefix" --enable-static --disable-shared --with-pic
make -j"$jobs" install

release xxhash v0.8.2 Cyan4973/xxHash LICENSE
make -j"$jobs" libxxhash.a libxxhash.pc prefix="$prefix" PREFIX="$prefix"
mkdir -p "$prefix/lib/pkgconfig" "$prefix/include"
cp libxxhash.a "$prefix/lib/" && cp xxhash.h "$prefix/include/" && cp libxxhash.pc "$prefix/lib/pkgconfig/"
