# SPDX-License-Identifier: BSD-3-Clause
# Sourced: build_mpi WRAPPER FOLDER makes libdistorch2-mpi.so, distorch2-mpi and the tests' job in a folder, by a compiler of MPI's; the
# command line's objects, and libdistorch2, are those of the build.
# shellcheck shell=sh
: "${top_srcdir:=.}" "${top_builddir:=.}"

mpirun_of() { # WRAPPER
    echo "$1" | sed 's/mpicc\([^/]*\)$/mpirun\1/'
}

build_mpi() {
    flags="-std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -include $top_builddir/config.h -I$top_srcdir/include -I$top_srcdir/src -I$top_srcdir/mpi -I$top_srcdir/tests"
    # shellcheck disable=SC2086,SC2046 # they are many
    "$1" $flags -pthread -fPIC -shared -fvisibility=hidden -Wl,--version-script="$top_srcdir/mpi/distorch2-mpi.map" -Wl,-z,defs \
        -o "$2/libdistorch2-mpi.so" "$top_srcdir/mpi/image.c" "$top_srcdir/mpi/job.c" "$top_srcdir/mpi/list.c" "$top_srcdir/mpi/open.c" \
        -L"$top_builddir/.libs" -ldistorch2 &&
        "$1" $flags -pthread -rdynamic -o "$2/job" "$top_srcdir/tests/mpi/job.c" -L"$2" -ldistorch2-mpi -L"$top_builddir/.libs" -ldistorch2 -ldl &&
        "$1" $flags -pthread -o "$2/distorch2-mpi" "$top_srcdir/mpi/tool.c" "$top_srcdir/mpi/ranks.c" \
            $(find "$top_builddir/src/cli" -name 'distorch2-*.o' ! -name '*-main.o') -L"$2" -ldistorch2-mpi \
            -L"$top_builddir/.libs" -ldistorch2 $(pkg-config --libs jansson libxxhash) $(sed -n 's/^CRYPTO_LIBS = //p; s/^CAIRO_LIBS = //p' "$top_builddir/Makefile")
}
