#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The programs of docs/examples compile as their first comment says, run, and fail as they should; and the sources that
# the documents build up compile too.
set -u
. "${0%/*}/../support/tap.sh"
src=${top_srcdir:-.}
build=${top_builddir:-.}
POCL_DEVICES=${POCL_DEVICES:-pthread basic} # two OpenCL devices wherever PoCL is installed
LC_ALL=C
export POCL_DEVICES LC_ALL

run() { # STATUS EXAMPLE ARGUMENT...: whether the example ends with that status
    expected=$1
    example=$2
    shift 2
    "$build/docs/examples/$example" "$@" >"$work/out" 2>"$work/err"
    [ $? -eq "$expected" ]
}

prints() { # whether a line of the output matches
    grep -q -e "$1" "$work/out"
}

sum_of() { # TENSOR: as read.c printed it
    sed -n "s/^\([0-9a-f]*\) .* $1\$/\1/p" "$work/tensors"
}

# The command that the first comment of each gives, on headers that are not installed yet.
for example in engine load plan read stream; do
    what="$example.c compiles as it says"
    : >"$work/out"
    packages=distorch2
    [ $example != engine ] || packages="distorch2 OpenCL"
    # shellcheck disable=SC2086 # packages are words
    if ! flags=$(PKG_CONFIG_PATH="$build:${PKG_CONFIG_PATH-}" \
        pkg-config --define-variable=includedir="$src/include" --cflags $packages 2>"$work/err"); then
        skip "$what" "pkg-config does not find all that $packages name"
        continue
    fi
    # shellcheck disable=SC2086 # flags are words, and a compiler may have arguments
    grep -q "cc $example.c \$(pkg-config --cflags --libs $packages) -o $example" "$src/docs/examples/$example.c" &&
        ${CC:-cc} -std=c11 -Wall -Wextra -Werror -pedantic -fsyntax-only $flags "$src/docs/examples/$example.c" \
            2>"$work/err"
    verdict $? "$what"
done

# The source file that the first step of a document ends in.
jansson=$(pkg-config --cflags jansson 2>/dev/null)
for document in formats commands; do
    code=$work/$document.c
    awk '/^```c$/ { code = 1; next } /^```$/ { code = 0 } /^## 2/ { exit } code' "$src/docs/$document.md" >"$code"
    : >"$work/out"
    # shellcheck disable=SC2086
    [ "$(wc -l <"$code")" -gt 40 ] &&
        ${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -fsyntax-only -include "$build/config.h" \
            -I"$src/include" -I"$src/src" $jansson "$code" 2>"$work/err"
    verdict $? "the source of docs/$document.md compiles"
done

model=$work/tiny.safetensors
"$build/tests/support/mkmodel" "$src/tests/data/layouts/tiny.tsv" "$model" || exit 1

run 0 read "$model" && [ "$(grep -c control_model "$work/out")" -eq 18 ]
verdict $? "read reads 18 tensors"
cp "$work/out" "$work/tensors"
run 4 read "$work/none.safetensors"
verdict $? "read tells that a file is not there"
run 1 read "$src/COPYING" && grep -q 'not a model file' "$work/err"
verdict $? "read tells that a file is no model"

run 0 plan && prints '^cuda:0  *2.25 GiB  layer.0 to layer.8$' && prints '^hip:0  *3.00 GiB  layer.9 to layer.20$' &&
    prints '^cpu  *768 MiB  layer.21 to layer.23 '
verdict $? "plan spreads 24 layers over three memories"
run 0 plan 'cpu,*;hip:0,0.5' && prints '^hip:0  *2.00 GiB  layer.16 to layer.23$'
verdict $? "plan takes a share of a device from the back"
run 2 plan 'cuda:0,2' && grep -q '^ *^$' "$work/err"
verdict $? "plan shows the character that is wrong"
run 3 plan 'hip:0,100%;cuda:0,*'
verdict $? "plan refuses what does not fit"

first=control_model.time_embed.0.weight
last=control_model.middle_block_out.0.weight
run 0 load "$model" 'cpu,*' "$last" && prints "^$last lies on cpu at 0x" && prints "^$(sum_of "$last")\$"
verdict $? "load reads from host memory what read read"
run 4 load "$model" 'cpu,*' control_model.middle_block_out.0.wait && grep -q "$last" "$work/err"
verdict $? "load names the tensor that may have been meant"
if "$DISTORCH2" devices 2>/dev/null | grep -q '^opencl:0 '; then
    run 0 load "$model" 'opencl:0,50%;cpu,*' "$first" && prints "^$first lies on opencl:0 at 0x" &&
        prints "^$(sum_of "$first")\$"
    verdict $? "load reads from an OpenCL device what read read"
else
    skip "load over an OpenCL device" "there is no OpenCL device"
fi

run 0 stream "$model" 'cpu,*' && prints '^0 of 10 blocks stream to cpu' && sum=$(sed -n 's/^pass 1: \([0-9a-f]*\),.*/\1/p' "$work/out") &&
    [ "$(grep -c "^pass [123]: $sum, 0 bytes streamed" "$work/out")" -eq 3 ]
verdict $? "stream reads host memory in place"
if "$DISTORCH2" devices 2>/dev/null | grep -q '^opencl:0 '; then
    run 0 stream "$model" 'cpu,30%;opencl:0,*' && prints '^[1-9] of 10 blocks stream to cpu' &&
        [ "$(grep -c "^pass [123]: $sum, " "$work/out")" -eq 3 ]
    verdict $? "stream reads the same from an OpenCL device, three times"
else
    skip "stream from an OpenCL device" "there is no OpenCL device"
fi

other=$work/plain.safetensors
"$build/tests/support/mkmodel" "$src/tests/data/layouts/tiny-plain.tsv" "$other" || exit 1
what="engine runs two models on OpenCL, and one takes the place of the other"
if ! [ -x "$build/docs/examples/engine" ]; then
    skip "$what" "configure found no OpenCL"
elif ! "$DISTORCH2" devices 2>/dev/null | grep -q '^opencl:0 '; then
    skip "$what" "there is no OpenCL device"
else
    run 0 engine "$model" "$other" opencl:0 && [ "$(grep -c 'as in the file$' "$work/out")" -eq 4 ] &&
        prints '^  a pass: [1-9][0-9]* of 10 layers had to be streamed' && prints '^  ejected: first$' &&
        prints '^first: DT2_EGONE: ' && prints '^again: DT2_ECANCELLED: ' && prints '^1 model is loaded$'
    verdict $? "$what"
    run 4 engine "$model" "$other" opencl:77 && grep -q 'opencl:77' "$work/err"
    verdict $? "engine names a device that is not there"
    run 1 engine "$model" "$other" cpu && grep -q "none of OpenCL's" "$work/err"
    verdict $? "engine wants an OpenCL device"
fi

finish
