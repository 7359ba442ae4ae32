#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# make check-intel: the conformance suite, and a mixed load, on Intel's OpenCL runtime for processors beside PoCL, all in one
# process. The runtime comes from the Python package intel-opencl-rt, once, through a network. DISTORCH2_INTEL_VENV, if set,
# is where it lies, or is put.
set -u
. "${0%/*}/../support/tap.sh"
build=${top_builddir:?}
home=${DISTORCH2_INTEL_VENV:-$build/intel-venv}

[ -n "${PYTHON3:-}" ] || skip_all "there is no Python 3"
if [ ! -e "$home/ready" ]; then
    "$PYTHON3" -m venv "$home" >"$build/intel-venv.log" 2>&1 || skip_all "Python's venv is not installed (python3-venv)"
    "$home/bin/pip" install --disable-pip-version-check intel-opencl-rt intel-cmplr-lib-rt >>"$build/intel-venv.log" 2>&1 ||
        skip_all "pip could not get intel-opencl-rt; intel-venv.log says why"
    touch "$home/ready"
fi
runtime=$(find "$home/lib" -name 'libintelocl.so' -print | head -n 1)
[ -n "$runtime" ] || skip_all "the package has no libintelocl.so"

mkdir "$work/vendors" "$work/lib"
echo "$runtime" >"$work/vendors/intel.icd"
cp /etc/OpenCL/vendors/pocl*.icd "$work/vendors" 2>/dev/null || echo "# PoCL is not beside it"
# Its own folder without its own ICD loader, which would take the place of the system's.
for library in "$(dirname "$runtime")"/*; do
    case ${library##*/} in
    libOpenCL*) ;;
    *) ln -s "$library" "$work/lib" ;;
    esac
done
export OCL_ICD_VENDORS="$work/vendors" LD_LIBRARY_PATH="$work/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export POCL_DEVICES="${POCL_DEVICES:-pthread}"

"$build/distorch2" devices >"$work/out" 2>&1 && grep -q '^opencl:1 ' "$work/out"
verdict $? "Intel's device and PoCL's are listed together"
sed 's/^/# /' "$work/out"

"$build/tests/driver/conformance" opencl >"$work/all" 2>&1
status=$?
grep -v '^ok' "$work/all" >"$work/out"
verdict $status "the conformance suite: $(grep -c '^ok' "$work/all") checks"
grep '^# .*entries' "$work/all"

"$build/tests/support/mkmodel" "${top_srcdir:?}/tests/data/layouts/control_v11p_sd15_canny_fp16.tsv" "$work/model.safetensors" >"$work/out" 2>&1 &&
    "$build/distorch2" load "$work/model.safetensors" --compute-device opencl:0 --verify \
        --expert-mode-allocations 'opencl:0,30%;opencl:1,30%;cpu,*' >"$work/out" 2>&1 &&
    [ "$(grep -c 'every byte' "$work/out")" -eq 4 ]
verdict $? "a model is spread over both and host memory, and verified"
sed 's/^/# /' "$work/out"

finish
