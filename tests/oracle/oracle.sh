#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Compares our reader with the libraries that the formats come from (TAP). They are installed with pip into the virtual
# environment DISTORCH2_ORACLE_VENV, oracle-venv in the build folder by default, unless it has them.
# Skipped with the reason when that cannot be done.
set -eu
: "${top_srcdir:=.}" "${top_builddir:=.}" "${PYTHON3:=python3}"
: "${DISTORCH2_ORACLE_VENV:=$top_builddir/oracle-venv}"
DT2_LIBRARY=$top_builddir/.libs/libdistorch2.so
PYTHONDONTWRITEBYTECODE=1
export DT2_LIBRARY PYTHONDONTWRITEBYTECODE
folder=$top_srcdir/tests/oracle
python=$DISTORCH2_ORACLE_VENV/bin/python3
log=$top_builddir/oracle-venv.log

skip()
{
    echo "1..0 # SKIP $1"
    exit 0
}

# has MODULE...: whether the environment has all of them.
has()
{
    [ -x "$python" ] && "$python" -c 'import importlib.util, sys
sys.exit(not all(map(importlib.util.find_spec, sys.argv[1:])))' "$@"
}

if ! has diffusers gguf numpy safetensors torch; then
    command -v "$PYTHON3" >/dev/null || skip "there is no python3"
    echo "# installing the libraries into $DISTORCH2_ORACLE_VENV; that takes minutes"
    "$PYTHON3" -m venv "$DISTORCH2_ORACLE_VENV" >"$log" 2>&1 ||
        skip "no virtual environment can be made (Debian: python3-venv); see $log"
    "$python" -m pip install -q -r "$folder/requirements.txt" >>"$log" 2>&1 ||
        skip "pip could not install the libraries, perhaps for want of a network; see $log"
fi

set -- safetensors torch pickle gguf cast diffusers
echo "1..$#"
status=0 number=0
for library in "$@"; do
    number=$((number + 1)) result=ok
    "$python" "$folder/$library-oracle.py" >"$log" 2>&1 || { result="not ok" status=1; }
    sed '$d; s/^/# /' "$log"
    echo "$result $number - $(tail -n 1 "$log")"
done
exit "$status"
