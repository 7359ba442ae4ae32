#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# make check-vendors: our declarations beside the vendors' headers of several versions, which pip and apt-get fetch once into the
# folder vendors of the build, and install nowhere. What cannot be had is said, and left out.
set -u
src=$(cd "${top_srcdir:-.}" && pwd) || exit 1
build=${top_builddir:-.}
folder=$build/vendors
failed=0
compared=0
mkdir -p "$folder"

# wheel NAME VERSION: where NVIDIA's package of headers is unpacked; none where it cannot be had.
wheel() {
    at=$folder/$1-$2
    if [ ! -d "$at/nvidia" ]; then
        "${PYTHON3:-python3}" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
            --dest "$at" "$1==$2" >"$folder/log" 2>&1 || return 1
        (cd "$at" && "${PYTHON3:-python3}" -m zipfile -e ./*.whl . && rm -f ./*.whl) || return 1
    fi
    printf ' -isystem %s' "$at"/nvidia/*/include
}

# compare WHAT CUDA-FLAGS HIP-FLAGS
compare() {
    echo "== $1"
    compared=$((compared + 1))
    CUDA_REAL_CPPFLAGS=$2 HIP_REAL_CPPFLAGS=$3 top_srcdir=$src CC=${CC:-cc} sh "$src/tests/gpu/declared.sh" >"$folder/result" ||
        failed=1
    grep -v ' # SKIP ' "$folder/result"
}

# cuda VERSION PACKAGE, AND ANOTHER THAT HAS crt/host_defines.h, WITH ITS VERSION
cuda() {
    if flags=$(wheel "$2" "$1") && crt=$(wheel "$3" "$4"); then
        compare "CUDA $1" "-DDT2_REAL_CUDA$flags$crt" ''
    else
        echo "== CUDA $1: skipped, pip cannot fetch NVIDIA's headers"
    fi
}

# Debian's HIP is taken apart, not installed.
hip() {
    at=$folder/hip
    if [ ! -d "$at/usr/include/hip" ]; then
        mkdir -p "$at"
        (cd "$at" && apt-get download libamdhip64-dev >../log 2>&1 && dpkg-deb -x libamdhip64-dev_*.deb .) || {
            echo "== HIP: skipped, apt-get cannot fetch libamdhip64-dev"
            return
        }
    fi
    compare "HIP of this Debian" '' "-DDT2_REAL_HIP -D__HIP_PLATFORM_AMD__ -isystem $at/usr/include"
}

cuda 11.8.89 nvidia-cuda-runtime-cu11 nvidia-cuda-nvcc-cu11 11.8.89
cuda 12.1.105 nvidia-cuda-runtime-cu12 nvidia-cuda-nvcc-cu11 11.8.89
cuda 13.5.37 nvidia-cuda-runtime nvidia-cuda-crt 13.5.37
hip
echo "$compared compared"
exit $failed
