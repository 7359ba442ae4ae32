#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check.sh MAKE PYTHON TEST...: make check-comfyui. The nodes in each checkout of ComfyUI that DISTORCH2_COMFYUI names, one after
# another: paths with ':' between. DISTORCH2_COMFYUI_VENV names their environments likewise; where it names none, one is made of
# the checkout's requirements, once. Logs are kept in comfyui-logs, by ComfyUI's version.
set -u
make=$1
python=$2
shift 2
here=$(dirname "$0")

if [ -z "${DISTORCH2_COMFYUI:-}" ]; then
    echo "skipped: DISTORCH2_COMFYUI names no checkout of ComfyUI"
    exit 0
fi

# The part of a list at a number, from 1 on: nothing, where it has fewer.
part() {
    printf '%s\n' "$1" | tr ':' '\n' | sed -n "$2p"
}

version_of() {
    sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$1/comfyui_version.py" 2>/dev/null
}

all=$DISTORCH2_COMFYUI
venvs=${DISTORCH2_COMFYUI_VENV:-}
number=1
status=0
results=
while [ -n "$(part "$all" $number)" ]; do
    checkout=$(part "$all" $number)
    venv=$(part "$venvs" $number)
    number=$((number + 1))
    if [ ! -f "$checkout/comfy/controlnet.py" ]; then
        results="$results
skipped: $checkout is no checkout of ComfyUI"
        continue
    fi
    version=$(version_of "$checkout")
    version=${version:-unknown}
    made=comfyui-venv-$version
    DISTORCH2_PYTHON_VENV=$venv sh "$here/../torch/venv.sh" "$python" "$made" "$checkout/requirements.txt"
    DISTORCH2_COMFYUI=$checkout
    DISTORCH2_COMFYUI_VENV=${venv:-$PWD/$made}
    export DISTORCH2_COMFYUI DISTORCH2_COMFYUI_VENV
    if "$make" check TESTS="$*"; then
        said=passed
    else
        said=FAILED
        status=1
    fi
    rm -rf "comfyui-logs/$version"
    mkdir -p "comfyui-logs/$version"
    for test in "$@"; do
        cp "${test%.py}.log" "comfyui-logs/$version/" && sed -n 's/^# //p' "${test%.py}.log"
    done
    counts=$(cat "comfyui-logs/$version"/*.log | awk '/^ok .*# SKIP/ { skipped++; next } /^ok/ { passed++ }
        /^1\.\.0 # SKIP/ { skipped++ } /^not ok/ { failed++ } END { print passed + 0, skipped + 0, failed + 0 }')
    results="$results
$said: ComfyUI $version, passed skipped failed: $counts"
done
printf '%s\n' "$results" | sed 1d
exit $status
