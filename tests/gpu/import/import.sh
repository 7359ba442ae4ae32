#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Which runtime the drivers use, where the system has an older one than a library that the program imports: whichever
# comes first, that library finds its own, and works with the same memory. The libraries are the simulator's (needs.c).
set -u
. "${0%/*}/../../support/tap.sh"
src=${top_srcdir:-.}
build=${top_builddir:-.}
show "$work/out" "$work/report"
libs=$(cd "$build/tests/gpu/import" && pwd)
older=$libs/older/.libs
newer=$libs/newer/.libs

# The program, with the older runtimes where the linker looks; the drivers' environment goes before the command.
importer() { # us|import DEVICE [RUNTIME]
    : >"$work/report"
    LD_LIBRARY_PATH=$older DISTORCH2_SIM_REPORT=$work/report DISTORCH2_SIM_CUDART=no "$src/tests/sim/run" \
        "$src/tests/data/machines/small.sim" "$libs/importer" "$1" "$2" "$libs/lib/.libs/needs-${2%%:*}.so" ${3+"$3"} \
        >"$work/found" 2>&1
    code=$?
    for file in found report; do # the newer ones, found from beside the library
        sed "s|$libs/lib/.libs/../../|$libs/|" "$work/$file" >"$work/plain"
        mv "$work/plain" "$work/$file"
    done
    mv "$work/found" "$work/out"
    return $code
}

says() {
    grep -q "$1" "$work/out"
}

# Calls went to the copies of a runtime that are named, in the order of their paths, and to no other.
called() { # LIBRARY, FOLDER...
    name=$1
    shift
    sed -n "s|^calls_of\.\($libs.*\)/$name\.so.*=.*|\1|p" "$work/report" | sort >"$work/called"
    printf '%s\n' "$@" | diff - "$work/called" >>"$work/out"
}

for driver in cuda hip; do
    [ -f "$build/.libs/dt2-$driver.so" ] || skip_all "the $driver driver was not built"
done

# -- CUDA: nothing needs to be named

importer us cuda:0
verdict $? "CUDA: the import works after the model was loaded"
says 'libcuda [0-9.]*, without a runtime'
verdict $? "the driver does without a runtime"
says "libcudart [0-9.]* ($newer/libcudart.so.12"
verdict $? "later it uses the one that was imported"
called libcudart "$newer"
verdict $? "the system's is not called"

importer import cuda:0
verdict $? "CUDA: the model is loaded after the import"
says "libcudart [0-9.]* ($newer/libcudart.so.12" && ! says 'without a runtime'
verdict $? "by the runtime that was imported"
called libcudart "$newer"
verdict $? "and by no other"

DISTORCH2_CUDART=$newer/libcudart.so.12 importer us cuda:0
verdict $? "CUDA: the environment names the runtime, the import comes after"
called libcudart "$newer" && ! says 'without a runtime'
verdict $? "there is one runtime"
DISTORCH2_CUDART=/nonexistent importer us cuda:0 "$newer/libcudart.so.12"
verdict $? "the context's option goes before the environment"
called libcudart "$newer" && ! says 'without a runtime'
verdict $? "there is one runtime"
DISTORCH2_CUDART=$older/libcudart.so.12 importer us cuda:0 ''
says 'libcuda [0-9.]*, without a runtime'
verdict $? "an empty option: none, whatever the environment names"

DISTORCH2_CUDART=$older/libcudart.so.12 importer us cuda:0
test $? = 1 && says 'undefined symbol: cudaSimNewest, version libcudart.so.12'
verdict $? "the system's, by name: the import fails, as it did where it was taken by its soname"

# -- CUDA: what cannot be used

DISTORCH2_CUDART=$newer/libcudart.so.12 importer import cuda:0
verdict $? "CUDA: what is named is held already"
DISTORCH2_CUDART=$work/libcudart.so.12 importer us cuda:0
test $? = 1 && says "DISTORCH2_CUDART names cannot be used: $work/libcudart.so.12: "
verdict $? "a file that is not there is an error with its path, and libcuda does not stand in"
DISTORCH2_CUDART=libcudart.so.12 importer us cuda:0
test $? = 1 && says "DISTORCH2_CUDART has 'libcudart.so.12', and a file is named from the root"
verdict $? "a file that is not named from the root is not looked for"
importer us cuda:0 "$newer/libamdhip64.so.7"
test $? = 1 && says "option cuda_runtime names cannot be used: $newer/libamdhip64.so.7: it lacks cudaRuntimeGetVersion"
verdict $? "a file that is no runtime is an error with its path"
DISTORCH2_CUDART="?$work/libcudart.so.12" importer us cuda:0
verdict $? "a file that is offered and not there"
says "DISTORCH2_CUDART offers cannot be used: $work/libcudart.so.12: " && says 'libcuda [0-9.]*, without a runtime'
verdict $? "is a warning, and libcuda does alone"
DISTORCH2_CUDART="?$newer/libcudart.so.12" importer us cuda:0 && ! says 'without a runtime'
verdict $? "a file that is offered is used"
DISTORCH2_SIM_FAIL='cudaRuntimeGetVersion 1 unknown' DISTORCH2_CUDART=$newer/libcudart.so.12 importer us cuda:0
test $? = 1 && says "$newer/libcudart.so.12: it does not tell its version"
verdict $? "a named runtime that does not tell its version is an error with its path"
DISTORCH2_SIM_FAIL='cudaRuntimeGetVersion 1 unknown' importer import cuda:0
verdict $? "where the one that the process holds does not, libcuda does alone"
says "no runtime is used: $newer/libcudart.so.12" && says 'libcuda [0-9.]*, without a runtime'
verdict $? "and says why"

# -- HIP: there is no layer below the runtime; one that is to be imported must be named

importer import hip:0
verdict $? "HIP: the model is loaded after the import"
called libamdhip64 "$newer"
verdict $? "by the runtime that was imported"
DISTORCH2_AMDHIP64=$newer/libamdhip64.so.7 importer us hip:0
verdict $? "HIP: the environment names the runtime, the import comes after"
called libamdhip64 "$newer"
verdict $? "there is one runtime"
importer us hip:0 "$newer/libamdhip64.so.7"
verdict $? "HIP: the context's option names the runtime, the import comes after"
called libamdhip64 "$newer"
verdict $? "there is one runtime"
importer us hip:0
test $? = 1 && says 'undefined symbol: hipSimNewest, version hip_7.0'
verdict $? "HIP: where nobody names it the system's is taken, and the import fails"
DISTORCH2_AMDHIP64=$work/libamdhip64.so.7 importer us hip:0
test $? = 1 && says "DISTORCH2_AMDHIP64 names cannot be used: $work/libamdhip64.so.7: "
verdict $? "a file that is not there is an error with its path"

finish
