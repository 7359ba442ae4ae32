#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The table of a file of safetensors by us and by the reference's safe_open, in turn, in one process.

usage: header.py FILE; DT2_LIBRARY is the path of libdistorch2.so
"""
import os
import statistics
import sys
import time

import safetensors

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "oracle"))
import dt2

ROUNDS = 15


def ours(path):
    with dt2.File(path):
        pass


def reference(path):
    with safetensors.safe_open(path, framework="np"):
        pass


def milliseconds(function, path):
    begin = time.perf_counter()
    function(path)
    return (time.perf_counter() - begin) * 1e3


path = sys.argv[1]
rounds = [(milliseconds(ours, path), milliseconds(reference, path)) for _ in range(ROUNDS)]
mine, theirs = (statistics.median(times) for times in zip(*rounds))
print("%-34s %6.2f ms, safe_open of safetensors %s %6.2f ms, ratio %.2f (at most 1 wanted)" %
      (os.path.basename(path), mine, safetensors.__version__, theirs, mine / theirs))
