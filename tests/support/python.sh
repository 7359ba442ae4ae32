#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs one test in Python with the package of this tree and the library that was built; skips it as a whole where that cannot
# be. Those that need torch run with the environment that `make check-python` made, all others with any Python.
test=$1
src=${top_srcdir:-.}
build=${top_builddir:-.}

skip() {
    echo "1..0 # SKIP $*"
    exit 0
}

case $test in
*/python/comfyui/*)
    venv=${DISTORCH2_COMFYUI_VENV:-$build/comfyui-venv}
    python=$venv/bin/python
    [ -f "${DISTORCH2_COMFYUI:-}/comfy/controlnet.py" ] || skip "DISTORCH2_COMFYUI names no checkout of ComfyUI"
    [ -x "$python" ] || skip "$(cat "$venv.reason" 2>/dev/null || echo 'make check-comfyui makes what this needs')"
    ;;
*/python/torch/* | */bench/*)
    venv=${DISTORCH2_PYTHON_VENV:-$build/python-venv}
    python=$venv/bin/python
    [ -x "$python" ] || skip "$(cat "$venv.reason" 2>/dev/null || echo 'make check-python makes what this needs')"
    ;;
*) python=${PYTHON3:-} ;;
esac
[ -n "$python" ] || skip "python3 is not installed"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' || skip "$("$python" --version) is older than 3.9"
library=$build/.libs/libdistorch2.so.0
[ -f "$library" ] || skip "no shared library was built"

# A sanitizer's runtime must be in the process before all else: the first of these that the compiler has.
preload()
{
    for name; do
        # shellcheck disable=SC2086 # a compiler may have arguments
        runtime=$(${CC:-cc} -print-file-name=$name)
        [ "$runtime" = "$name" ] || break
    done
    # C++ comes with it: the runtime looks for what throws exceptions when it starts, and torch would bring it later.
    LD_PRELOAD=$runtime:libstdc++.so.6${LD_PRELOAD:+:$LD_PRELOAD}
    export LD_PRELOAD
}

if grep -q __asan_init "$library"; then
    preload libasan.so libclang_rt.asan-x86_64.so libclang_rt.asan.so
    ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 # Python itself leaves much behind at its end
    export ASAN_OPTIONS
elif grep -q __tsan_init "$library"; then
    preload libtsan.so libclang_rt.tsan-x86_64.so libclang_rt.tsan.so
    TSAN_OPTIONS=${TSAN_OPTIONS:+$TSAN_OPTIONS:}ignore_noninstrumented_modules=1 # Python: of its locks it sees those of pthreads
    export TSAN_OPTIONS
fi

DISTORCH2_LIBRARY=$library
DISTORCH2_BACKEND_PATH=${DISTORCH2_BACKEND_PATH:-$build/.libs}
PYTHONPATH=$src/python:$src/tests/support
PYTHONDONTWRITEBYTECODE=1
POCL_DEVICES=${POCL_DEVICES:-pthread basic} # two OpenCL devices wherever PoCL is installed
unset COMFYUI_PATH PYTHONHOME
export DISTORCH2_LIBRARY DISTORCH2_BACKEND_PATH PYTHONPATH PYTHONDONTWRITEBYTECODE POCL_DEVICES
exec "$python" -X faulthandler "$test"
