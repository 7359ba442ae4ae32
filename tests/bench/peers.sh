#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# `make bench-peers`: peers.sh MODEL.safetensors, in the build folder. What the peers need is in a virtual environment of its own,
# made once: DISTORCH2_PEERS_VENV, or peers-venv. BENCH_ROUNDS: 5 by default.
set -eu
: "${top_srcdir:=.}" "${top_builddir:=.}" "${PYTHON3:=python3}" "${BENCH_ROUNDS:=5}"
venv=${DISTORCH2_PEERS_VENV:-$top_builddir/peers-venv}
if [ ! -x "$venv/bin/python3" ]; then
    "$PYTHON3" -m venv "$venv"
    "$venv/bin/pip" install -q torch safetensors fastsafetensors runai-model-streamer numpy
fi
DISTORCH2=$top_builddir/distorch2 DISTORCH2_BACKEND_PATH=$top_builddir/.libs PYTHONDONTWRITEBYTECODE=1
export DISTORCH2 DISTORCH2_BACKEND_PATH PYTHONDONTWRITEBYTECODE
exec "$venv/bin/python3" "$top_srcdir/tests/bench/peers.py" --rounds "$BENCH_ROUNDS" "$1"
