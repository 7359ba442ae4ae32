dnl SPDX-License-Identifier: BSD-3-Clause

dnl DT2_SUMMARY: the table that ends configure.
AC_DEFUN([DT2_SUMMARY], [
  dt2_compiler=$($CC --version | head -n 1)
  test "x$silent" = xyes || cat <<EOF

distorch2 $PACKAGE_VERSION

  compiler     $dt2_compiler
  warnings     $(test "x$enable_werror" = xyes && echo errors || echo shown), hardening $enable_hardening
  prefix       $dt2_prefix, rpath $dt2_rpath

  libraries
    hwloc      $dt2_version_hwloc
    jansson    $dt2_version_jansson
    libyaml    $dt2_version_yaml
    xxHash     $dt2_version_xxhash
    libcrypto  $dt2_libcrypto
    liburing   $dt2_liburing
    cairo      $dt2_cairo
    MPI        $dt2_mpi

  drivers
    host       yes (built in)
    CUDA       $dt2_driver_cuda
    HIP        $dt2_driver_hip
    OpenCL     $dt2_driver_opencl

  tests
    bats       ${BATS:-no (the tests of the command line will skip)}
    prove      ${PROVE:-no (make prove will not work)}
    valgrind   ${VALGRIND:-no (make check-valgrind will not work)}
    C++17      ${CXX:-no (one test will skip)}
    nvml.h     $dt2_nvml
    python3    ${PYTHON3:-no (some tests of JSON output will skip)}

EOF
])
