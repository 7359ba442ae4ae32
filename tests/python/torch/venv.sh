#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# venv.sh PYTHON FOLDER [REQUIREMENTS]: makes the environment of `make check-python`, or of requirements of others, once for each
# requirements.txt. Where it cannot be made FOLDER.reason says why, and the tests are skipped with that.
set -u
python=$1
venv=$2
requirements=${3:-$(dirname "$0")/requirements.txt}
if [ -n "${DISTORCH2_PYTHON_VENV:-}" ]; then
    echo "using $DISTORCH2_PYTHON_VENV"
    exit 0
fi
if [ -f "$venv/READY" ] && cmp -s "$venv/READY" "$requirements"; then
    exit 0
fi

give_up() {
    echo "$1" >"$venv.reason"
    echo "no environment for Python: $1"
    rm -rf "$venv"
    exit 0
}

rm -rf "$venv" "$venv.reason"
[ -n "$python" ] || give_up "python3 is not installed"
"$python" -m venv "$venv" >"$venv.reason" 2>&1 || give_up "python3 has no venv (Debian: python3-venv)"
echo "installing what $requirements asks for into $venv: this takes minutes"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >"$venv.reason" 2>&1 ||
    give_up "pip: $(grep -i 'error' "$venv.reason" | tail -n 1)"
rm -f "$venv.reason"
cp "$requirements" "$venv/READY"
