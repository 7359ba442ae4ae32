dnl SPDX-License-Identifier: BSD-3-Clause

dnl DT2_REQUIRE_HOST: tensors are read as they lie in the file, and sizes are 64-bit.
AC_DEFUN([DT2_REQUIRE_HOST], [
  AS_CASE([$host],
    [*-*-linux*], [],
    [AC_MSG_ERROR([distorch2 runs on Linux; $host is not supported])])
  AS_CASE([$host_cpu],
    [x86_64|aarch64|powerpc64le|riscv64|loongarch64], [],
    [AC_MSG_ERROR([distorch2 needs a 64-bit little-endian processor; $host_cpu is not supported])])
])

AC_DEFUN([DT2_C11], [
  AS_IF([test "x$ac_cv_prog_cc_c11" = xno], [AC_MSG_ERROR([a C11 compiler is needed (gcc or clang)])])
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[
    #if !defined(__GNUC__)
    #error "needs the extensions of gcc and clang"
    #endif
    _Static_assert(sizeof(void *) == 8 && sizeof(long) == 8, "64 bit");
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little endian");
  ]])], [], [AC_MSG_ERROR([gcc or clang for a 64-bit little-endian machine is needed])])
])

dnl DT2_CXX17: only a test needs C++ (every public header compiles in it).
AC_DEFUN([DT2_CXX17], [
  AC_MSG_CHECKING([for a C++17 compiler])
  AC_LANG_PUSH([C++])
  dt2_save_CXXFLAGS=$CXXFLAGS
  CXXFLAGS="$CXXFLAGS -std=c++17"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM()], [have_cxx17=yes], [have_cxx17=no])
  CXXFLAGS=$dt2_save_CXXFLAGS
  AC_LANG_POP
  AC_MSG_RESULT([$have_cxx17])
  AS_IF([test $have_cxx17 = no], [CXX=])
])

dnl DT2_NO_RPATH: the dynamic linker's own configuration finds the library; distributions refuse an rpath.
AC_DEFUN([DT2_NO_RPATH], [
  AC_CONFIG_COMMANDS([no-rpath], [
    sed -e 's|^hardcode_libdir_flag_spec=.*|hardcode_libdir_flag_spec=""|' \
        -e 's|^runpath_var=.*|runpath_var=NO_RUNPATH|' libtool > libtool.tmp &&
    mv libtool.tmp libtool && chmod +x libtool
  ])
])
