dnl SPDX-License-Identifier: BSD-3-Clause
dnl Drivers are three-state: --with-X[=DIR] wants it (missing is an error), --without-X never looks, else it is detected.
dnl Those for CUDA and HIP need nothing, and are always there but for --without-X.

dnl DT2_VENDOR_HEADERS: for who must not depend on what happens to be installed.
AC_DEFUN([DT2_VENDOR_HEADERS], [
  AC_ARG_WITH([vendor-headers],
    [AS_HELP_STRING([--without-vendor-headers], [do not look for the headers of CUDA, HIP and NVML, with which tests compare
                                             our declarations])], [], [with_vendor_headers=auto])
])

dnl DT2_DRIVER_ARG(NAME, WHAT): sets with_NAME to yes, no, auto or a folder.
AC_DEFUN([DT2_DRIVER_ARG], [
  AC_ARG_WITH([$1], [AS_HELP_STRING([--with-$1@<:@=DIR@:>@], [$2 @<:@detect@:>@])], [], [with_$1=auto])
])

dnl DT2_DRIVER_RESULT(NAME, FOUND, VERSION, WHAT WOULD HELP): the verdict, the conditional and the line of the
dnl summary.
AC_DEFUN([DT2_DRIVER_RESULT], [
  AS_IF([test "x$2" = xno && test "x$with_$1" != xauto && test "x$with_$1" != xno],
    [AC_MSG_ERROR([--with-$1 was asked for, and was not found: $4])])
  AM_CONDITIONAL(m4_toupper([WITH_$1]), [test "x$2" = xyes])
  AS_IF([test "x$2" = xyes], [dt2_driver_$1="yes ($3)"],
        [test "x$with_$1" = xno], [dt2_driver_$1="no (--without-$1)"],
        [dt2_driver_$1="no ($4)"])
])

AC_DEFUN([DT2_DRIVER_OPENCL], [
  DT2_DRIVER_ARG([opencl], [OpenCL driver, through the ICD loader])
  dt2_found=no
  dt2_version=
  AS_CASE([$with_opencl],
    [no], [],
    [yes|auto], [
      PKG_CHECK_MODULES([OPENCL], [OpenCL], [dt2_found=yes; dt2_version=$($PKG_CONFIG --modversion OpenCL)], [
        AC_CHECK_HEADER([CL/cl.h], [AC_CHECK_LIB([OpenCL], [clGetPlatformIDs],
          [dt2_found=yes; dt2_version="found without pkg-config"; OPENCL_LIBS=-lOpenCL])])])],
    [
      dt2_save_CPPFLAGS=$CPPFLAGS
      dt2_save_LDFLAGS=$LDFLAGS
      OPENCL_CFLAGS="-I$with_opencl/include"
      OPENCL_LIBS="-L$with_opencl/lib -L$with_opencl/lib64 -lOpenCL"
      CPPFLAGS="$CPPFLAGS $OPENCL_CFLAGS"
      LDFLAGS="$LDFLAGS -L$with_opencl/lib -L$with_opencl/lib64"
      AS_IF([test -f "$with_opencl/include/CL/cl.h"],
        [AC_CHECK_HEADER([CL/cl.h], [AC_CHECK_LIB([OpenCL], [clGetPlatformIDs],
          [dt2_found=yes; dt2_version=$with_opencl])])])
      CPPFLAGS=$dt2_save_CPPFLAGS
      LDFLAGS=$dt2_save_LDFLAGS])
  DT2_DRIVER_RESULT([opencl], [$dt2_found], [$dt2_version],
    [install the OpenCL headers and an ICD loader: opencl-headers and ocl-icd-opencl-dev on Debian])
])

dnl DT2_DRIVER_DECLARED(NAME, WHAT, CFLAGS, HEADER, VERSION, INCLUDES, FOLDERS): a driver of which ours are all declarations
dnl that a build needs. The vendor's headers are looked for all the same, in FOLDERS in order ("compiler":
dnl where that looks anyway) or in the one of --with-NAME=DIR, which must have include/HEADER, and the tests compare the
dnl two. INCLUDES must not compile where they are older than was ever compared; VERSION is two expressions of it, and a
dnl name.
AC_DEFUN([DT2_DRIVER_DECLARED], [
  DT2_DRIVER_ARG([$1], [$2])
  m4_pushdef([DT2_NAME], m4_toupper([$1]))
  AS_CASE([$with_$1:$with_vendor_headers], [no:*|auto:no|yes:no], [dt2_folders=], [auto:*|yes:*], [dt2_folders="$7"],
    [dt2_folders=$with_$1])
  dt2_save_CPPFLAGS=$CPPFLAGS
  dt2_found=no
  for dt2_folder in $dt2_folders; do
    AS_CASE([$dt2_folder], [compiler|/usr], [dt2_flags="$3"], [dt2_flags="-isystem $dt2_folder/include $3"])
    AC_MSG_CHECKING([for the headers of $1 ($dt2_folder)])
    CPPFLAGS="$dt2_save_CPPFLAGS $dt2_flags"
    AS_IF([test "$dt2_folder" = compiler || test -f "$dt2_folder/include/$4"],
      [AC_COMPILE_IFELSE([AC_LANG_PROGRAM([$6])], [dt2_found=yes])])
    AC_MSG_RESULT([$dt2_found])
    AS_IF([test $dt2_found = yes], [break])
  done
  dt2_version="no vendor's headers to compare with: one test will skip"
  DT2_NAME[_REAL_CPPFLAGS]=
  AS_IF([test $dt2_found = yes], [
    AC_COMPUTE_INT([dt2_major], m4_argn([1], $5), [$6])
    AC_COMPUTE_INT([dt2_minor], m4_argn([2], $5), [$6])
    dt2_version="compared with the headers of m4_argn([3], $5) $dt2_major.$dt2_minor"
    DT2_NAME[_REAL_CPPFLAGS]="-DDT2_REAL_[]DT2_NAME $dt2_flags"])
  CPPFLAGS=$dt2_save_CPPFLAGS
  AC_SUBST(DT2_NAME[_REAL_CPPFLAGS])
  AS_CASE([$with_$1], [yes|auto], [dt2_found=yes])
  DT2_DRIVER_RESULT([$1], [$dt2_found], [$dt2_version], [no include/$4 of a version that is known is in $with_$1])
  m4_popdef([DT2_NAME])
])

AC_DEFUN([DT2_DRIVER_CUDA], [
  DT2_DRIVER_DECLARED([cuda], [CUDA driver for NVIDIA GPUs; DIR: a toolkit, 11 or newer, whose headers tests compare ours with],
    [], [cuda_runtime_api.h], [[CUDA_VERSION / 1000], [CUDA_VERSION % 1000 / 10], [CUDA]], [[
    #include <cuda.h>
    #include <cuda_runtime_api.h>
    #if CUDA_VERSION < 11000
    #error "too old"
    #endif]],
    [compiler $CUDA_PATH $CUDA_HOME /usr/local/cuda /opt/cuda])
])

AC_DEFUN([DT2_DRIVER_HIP], [
  DT2_DRIVER_DECLARED([hip], [HIP driver for AMD GPUs; DIR: a ROCm, 5.2 or newer, whose headers tests compare ours with],
    [-D__HIP_PLATFORM_AMD__], [hip/hip_runtime_api.h], [[HIP_VERSION_MAJOR], [HIP_VERSION_MINOR], [HIP]], [[
    #include <hip/hip_runtime_api.h>
    #if HIP_VERSION < 50200000
    #error "too old"
    #endif]],
    [compiler $ROCM_PATH /opt/rocm])
])

dnl DT2_NVML: the driver declares the little of NVML that it uses itself; where the real header is, a test compares
dnl the two.
AC_DEFUN([DT2_NVML], [
  AC_ARG_WITH([nvml], [AS_HELP_STRING([--with-nvml@<:@=DIR@:>@],
    [compare our declarations of NVML with DIR/nvml.h or DIR/include/nvml.h, in a test @<:@detect@:>@])],
    [], [with_nvml=auto])
  NVML_CFLAGS=
  dt2_found=no
  AS_CASE([$with_nvml:$with_vendor_headers], [no:*|auto:no], [dt2_folders=],
    [yes:*|auto:*], [dt2_folders="compiler $CUDA_PATH/include $CUDA_HOME/include /usr/local/cuda/include"],
    [dt2_folders="$with_nvml $with_nvml/include"])
  dt2_save_CPPFLAGS=$CPPFLAGS
  for dt2_folder in $dt2_folders; do
    AS_CASE([$dt2_folder], [compiler], [dt2_flags=], [dt2_flags="-isystem $dt2_folder"])
    AC_MSG_CHECKING([for nvml.h ($dt2_folder)])
    CPPFLAGS="$dt2_save_CPPFLAGS $dt2_flags"
    AS_IF([test "$dt2_folder" = compiler || test -f "$dt2_folder/nvml.h"],
      [AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[#include <nvml.h>]])], [dt2_found=yes])])
    AC_MSG_RESULT([$dt2_found])
    AS_IF([test $dt2_found = yes], [NVML_CFLAGS=$dt2_flags; break])
  done
  CPPFLAGS=$dt2_save_CPPFLAGS
  AS_IF([test $dt2_found = no && test "x$with_nvml" != xauto && test "x$with_nvml" != xno],
    [AC_MSG_ERROR([--with-nvml was asked for, and found no nvml.h: the Python package nvidia-nvml-dev has it])])
  AS_IF([test $dt2_found = yes], [dt2_nvml=yes], [dt2_nvml="no (one test will skip)"])
  AM_CONDITIONAL([WITH_NVML], [test $dt2_found = yes])
  AC_SUBST([NVML_CFLAGS])
])
