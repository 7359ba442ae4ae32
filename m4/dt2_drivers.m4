dnl SPDX-License-Identifier: BSD-3-Clause
dnl Drivers are three-state: --with-X[=DIR] wants it (missing is an error), --without-X never looks, else it is detected.

dnl DT2_DRIVER_ARG(NAME, WHAT): sets with_NAME to yes, no, auto or a folder.
AC_DEFUN([DT2_DRIVER_ARG], [
  AC_ARG_WITH([$1], [AS_HELP_STRING([--with-$1@<:@=DIR@:>@], [$2 @<:@detect@:>@])], [], [with_$1=auto])
])

dnl DT2_DRIVER_RESULT(NAME, FOUND, VERSION, WHAT WOULD HELP): the verdict, the conditional and the line of the summary.
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
      CPPFLAGS="$CPPFLAGS -I$with_opencl/include"
      LDFLAGS="$LDFLAGS -L$with_opencl/lib"
      AC_CHECK_HEADER([CL/cl.h], [AC_CHECK_LIB([OpenCL], [clGetPlatformIDs], [dt2_found=yes; dt2_version=$with_opencl
        OPENCL_CFLAGS="-I$with_opencl/include"; OPENCL_LIBS="-L$with_opencl/lib -lOpenCL"])])
      CPPFLAGS=$dt2_save_CPPFLAGS
      LDFLAGS=$dt2_save_LDFLAGS])
  DT2_DRIVER_RESULT([opencl], [$dt2_found], [$dt2_version],
    [install the OpenCL headers and an ICD loader: opencl-headers and ocl-icd-opencl-dev on Debian])
])
