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

dnl DT2_TEST_TOOL(VARIABLE, PROGRAMS, WHAT IT DOES): found in PATH, unless it is given; an empty one is none.
AC_DEFUN([DT2_TEST_TOOL], [
  AC_ARG_VAR([$1], [$3])
  AS_IF([test "x${$1+set}" = xset], [AS_IF([test "x$$1" = xno], [$1=])], [AC_CHECK_PROGS([$1], [$2])])
])

dnl DT2_PROG_CXX17: only a test needs C++ (every public header compiles in it). AC_PROG_CXX would have libtool learn the language.
AC_DEFUN([DT2_PROG_CXX17], [
  DT2_TEST_TOOL([CXX], [g++ c++ clang++], [C++17 compiler, for a test of the headers])
  AC_MSG_CHECKING([for a C++17 compiler])
  AS_ECHO(['static_assert(__cplusplus >= 201703L);']) > conftest.cc
  AS_IF([$CXX -std=c++17 -fsyntax-only conftest.cc >&AS_MESSAGE_LOG_FD 2>&1], [], [CXX=])
  rm -f conftest.cc
  AC_MSG_RESULT([${CXX:-no}])
])

dnl DT2_LIBCRYPTO: the tool's SHA-256. Three-state, as the drivers are.
AC_DEFUN([DT2_LIBCRYPTO], [
  AC_ARG_WITH([libcrypto], [AS_HELP_STRING([--with-libcrypto], [OpenSSL's library, for inspect --sha256 @<:@detect@:>@])],
    [], [with_libcrypto=auto])
  dt2_libcrypto="no (inspect --sha256 will not work)"
  AS_IF([test "x$with_libcrypto" != xno], [
    PKG_CHECK_MODULES([CRYPTO], [libcrypto >= 1.1.1], [
      dt2_libcrypto=$($PKG_CONFIG --modversion libcrypto)
      AC_DEFINE([HAVE_LIBCRYPTO], [1], [Whether the tool has SHA-256])
    ], [
      AS_IF([test "x$with_libcrypto" != xauto],
        [AC_MSG_ERROR([--with-libcrypto was asked for, and was not found: libssl-dev on Debian])])
    ])])
])

dnl DT2_LIBURING: many reads under way at once without a thread for each. Three-state too.
AC_DEFUN([DT2_LIBURING], [
  AC_ARG_WITH([liburing], [AS_HELP_STRING([--with-liburing], [io_uring, for cold files @<:@detect@:>@])],
    [], [with_liburing=auto])
  dt2_liburing="no (threads wait for cold files)"
  AS_IF([test "x$with_liburing" != xno], [
    PKG_CHECK_MODULES([URING], [liburing >= 2.0], [
      dt2_liburing=$($PKG_CONFIG --modversion liburing)
      AC_DEFINE([HAVE_LIBURING], [1], [Define to 1 where liburing is there.])
    ], [
      AS_IF([test "x$with_liburing" != xauto],
        [AC_MSG_ERROR([--with-liburing was asked for, and was not found: liburing-dev on Debian])])
    ])
  ])
])

dnl DT2_COMPLETION_DIR(SHELL, FOLDER BELOW DATADIR): where that shell looks completions up.
AC_DEFUN([DT2_COMPLETION_DIR], [
  AC_ARG_WITH([$1-completion-dir],
    [AS_HELP_STRING([--with-$1-completion-dir=DIR], [folder of $1 completions @<:@DATADIR/$2@:>@])],
    [$1completiondir=$withval], [$1completiondir='${datadir}/$2'])
  AC_SUBST([$1completiondir])
])

dnl DT2_NO_RPATH: the dynamic linker's own configuration finds the library; distributions refuse an rpath.
AC_DEFUN([DT2_NO_RPATH], [
  AC_CONFIG_COMMANDS([no-rpath], [
    sed -e 's|^hardcode_libdir_flag_spec=.*|hardcode_libdir_flag_spec=""|' \
        -e 's|^runpath_var=.*|runpath_var=NO_RUNPATH|' libtool > libtool.tmp &&
    mv libtool.tmp libtool && chmod +x libtool
  ])
])
