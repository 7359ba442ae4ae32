#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Draws the pictures of docs/pictures.md into the source tree: make pictures. Models are of made-up weights.
set -eu
source=$1
build=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
export LC_ALL=C.UTF-8 HOME=/nonexistent XDG_CACHE_HOME="$scratch"

model() {
    "$build/tests/support/mkmodel" "$source/tests/data/layouts/$1" "$2"
}

# draw NAME MODEL MACHINE OPTIONS...
draw() {
    name=$1 model=$2 machine=$3
    shift 3
    for kind in svg png; do
        "$build/distorch2" plan "$model" --machine "$source/docs/machines/$machine" "$@" --picture "$source/docs/pictures/$name.$kind" >/dev/null
    done
}

model control_v11p_sd15_canny_fp16.tsv control_v11p_sd15_canny.safetensors
model diffusers_sdxl_canny_fp16.tsv controlnet-canny-sdxl.safetensors
# A load, where there are two OpenCL devices; else the picture stays as it is.
export POCL_DEVICES='pthread basic' DISTORCH2_BACKEND_PATH="$build/.libs" POCL_CACHE_DIR="$scratch"
for kind in svg png; do
    "$build/distorch2" load control_v11p_sd15_canny.safetensors --compute-device opencl:0 \
        --expert-mode-allocations 'opencl:0,30%;opencl:1,30%;cpu,*' --picture "$source/docs/pictures/load.$kind" >/dev/null || :
done
draw plan-1 control_v11p_sd15_canny.safetensors cgroup-limit.json --virtual-vram-gb 0.35
draw plan-3 controlnet-canny-sdxl.safetensors nvidia-amd-workstation.json --expert-mode-allocations 'cuda:0,40%;hip:0,30%;cpu,*'
draw plan-8 controlnet-canny-sdxl.safetensors dgx-2.json \
    --expert-mode-allocations 'cuda:0,12%;cuda:1,12%;cuda:2,12%;cuda:3,12%;cuda:8,12%;cuda:9,12%;cuda:10,12%;cpu,*'
