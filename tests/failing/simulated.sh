#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# test-failing on a simulated machine: host, CUDA, HIP and OpenCL in one load.
set -u
src=${top_srcdir:-.}
build=${top_builddir:-.}
for driver in cuda hip opencl; do
    if [ ! -f "$build/.libs/dt2-$driver.so" ]; then
        echo "1..0 # SKIP the driver $driver was not built"
        exit 0
    fi
done
exec "$src/tests/sim/run" "$src/tests/data/machines/small.sim" "$build/tests/failing/test-failing" \
    cuda:0 'cuda:0,18%;cuda:1,18%;hip:0,18%;opencl:0,18%;cpu,*'
