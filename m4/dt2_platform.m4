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

dnl DT2_FOLDER: libtool splits the paths of libraries that it links with others at spaces, which only tests have. So a folder
dnl that has them in its path is for who wants no tests; in the source's path Automake takes none.
AC_DEFUN([DT2_FOLDER], [
  AC_ARG_ENABLE([tests], [AS_HELP_STRING([--disable-tests], [make check is refused: a folder with spaces in its path will do])],
    [], [enable_tests=yes])
  AS_CASE(["$enable_tests:$(pwd)"],
    [yes:*@<:@@<:@:space:@:>@@:>@*], [AC_MSG_ERROR([there are spaces in the path of $(pwd), where libtool cannot link the tests:
  build in another folder, or with --disable-tests])])
  AM_CONDITIONAL([TESTS_ENABLED], [test "x$enable_tests" = xyes])
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

dnl DT2_CAIRO: the tool's pictures as PNG and PDF; SVG needs nothing. Three-state too.
AC_DEFUN([DT2_CAIRO], [
  AC_ARG_WITH([cairo], [AS_HELP_STRING([--with-cairo], [cairo, for pictures as PNG and PDF @<:@detect@:>@])],
    [], [with_cairo=auto])
  dt2_cairo="no (pictures are SVG alone)"
  AS_IF([test "x$with_cairo" != xno], [
    PKG_CHECK_MODULES([CAIRO], [cairo >= 1.16 cairo-pdf >= 1.16 cairo-png >= 1.16], [
      dt2_cairo=$($PKG_CONFIG --modversion cairo)
      AC_DEFINE([HAVE_CAIRO], [1], [Whether the tool has cairo])
    ], [
      AS_IF([test "x$with_cairo" != xauto],
        [AC_MSG_ERROR([--with-cairo was asked for, and was not found: libcairo2-dev on Debian])])
    ])
  ])
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

dnl DT2_RPATH: outside the system's own folders nobody tells the dynamic linker where the library is: the tool then finds it from
dnl where itself is, so that the whole can be moved, and distorch2.pc tells programs. Distributions want none, and get none.
AC_DEFUN([DT2_RPATH], [
  AC_ARG_ENABLE([rpath],
    [AS_HELP_STRING([--disable-rpath], [the tool and distorch2.pc do not say where the library is @<:@they do outside /usr@:>@])],
    [], [enable_rpath=auto])
  AS_CASE([$prefix], [NONE], [dt2_prefix=$ac_default_prefix], [dt2_prefix=$prefix])
  DT2_EXPAND([dt2_libdir], [$libdir])
  DT2_EXPAND([dt2_bindir], [$bindir])
  AS_CASE([$enable_rpath:$dt2_libdir],
    [no:*|auto:/lib*|auto:/usr/lib*], [dt2_rpath=no],
    [dt2_rpath=yes])
  RPATH_LDFLAGS=
  RPATH_BESIDE_LDFLAGS=
  PC_PREFIX=$dt2_prefix
  PC_LIBDIR=$libdir
  PC_RPATH=
  AS_IF([test $dt2_rpath = yes], [
    RPATH_BESIDE_LDFLAGS="-Wl,--enable-new-dtags '-Wl,-rpath,\$\$ORIGIN'"
    AS_CASE([$dt2_bindir:$dt2_libdir], [$dt2_prefix/*:$dt2_prefix/*], [
      dt2_down=$(AS_ECHO(["$dt2_libdir"]) | sed "s|^$dt2_prefix/*|/|")
      RPATH_LDFLAGS="-Wl,--enable-new-dtags '-Wl,-rpath,\$\$ORIGIN$(DT2_UP([$dt2_bindir]))$dt2_down'"
      PC_PREFIX="\${pcfiledir}$(DT2_UP([$dt2_libdir/pkgconfig]))"
      PC_LIBDIR="\${prefix}$dt2_down"],
      [RPATH_LDFLAGS="-Wl,--enable-new-dtags -Wl,-rpath,$dt2_libdir"])
    PC_RPATH=' -Wl,-rpath,${libdir}'],
    [test "x$enable_rpath" = xno], [
    dnl What libtool was to be told of, before it is made.
    hardcode_libdir_flag_spec=
    runpath_var=])
  AC_SUBST([RPATH_LDFLAGS])
  AC_SUBST([RPATH_BESIDE_LDFLAGS])
  AC_SUBST([PC_PREFIX])
  AC_SUBST([PC_LIBDIR])
  AC_SUBST([PC_RPATH])
])

dnl DT2_UP(FOLDER): a command that says how to come from there to the prefix: "/../..".
m4_define([DT2_UP], [AS_ECHO(["$1"]) | sed "s|^$dt2_prefix/*|/|; s|/@<:@^/@:>@@<:@^/@:>@*|/..|g; s|/\$||"])

dnl DT2_EXPAND(VARIABLE, FOLDER OF CONFIGURE'S): the folder with no variable in it.
AC_DEFUN([DT2_EXPAND], [
  dt2_saved_prefix=$prefix
  dt2_saved_exec_prefix=$exec_prefix
  prefix=$dt2_prefix
  AS_CASE([$exec_prefix], [NONE], [exec_prefix=$prefix])
  eval "$1=\"$2\""
  eval "$1=\"$$1\""
  prefix=$dt2_saved_prefix
  exec_prefix=$dt2_saved_exec_prefix
])

dnl DT2_OPTIONS_KNOWN: a mistyped option is no option that was taken. --disable-option-checking passes over them.
AC_DEFUN([DT2_OPTIONS_KNOWN], [
  AS_IF([test -n "$ac_unrecognized_opts" && test "x$enable_option_checking" != xno],
    [AC_MSG_ERROR([there is no option $ac_unrecognized_opts (configure --help lists them; --disable-option-checking passes over them)])])
  AS_IF([test "x$enable_shared" = xno],
    [AC_MSG_ERROR([--disable-shared: the driver modules find the library as a shared one, which is always built])])
])

dnl DT2_LIBRARY(NAME, PACKAGE, VERSION, HEADER, LIBRARY, FUNCTION): a library that is needed: by pkg-config, or without it in the
dnl folder of --with-NAME=DIR.
AC_DEFUN([DT2_LIBRARY], [
  AC_ARG_WITH([$1], [AS_HELP_STRING([--with-$1=DIR], [where $1 is, if pkg-config does not know it])], [], [with_$1=yes])
  m4_pushdef([DT2_NAME], m4_toupper([$1]))
  AS_CASE([$with_$1],
    [no], [AC_MSG_ERROR([--without-$1: it is needed])],
    [yes], [PKG_CHECK_MODULES(DT2_NAME, [$2 >= $3])
            dt2_version_$1=$($PKG_CONFIG --modversion "$2" 2>/dev/null || echo 'as said by DT2_NAME[]_LIBS')],
    [DT2_LIBRARY_IN([$1], DT2_NAME, [$4], [$5], [$6])
     dt2_version_$1="in $with_$1"])
  m4_popdef([DT2_NAME])
])

AC_DEFUN([DT2_LIBRARY_IN], [
  AS_IF([test -f "$with_$1/include/$3"], [], [AC_MSG_ERROR([--with-$1=$with_$1: there is no include/$3])])
  dt2_save_CPPFLAGS=$CPPFLAGS
  dt2_save_LDFLAGS=$LDFLAGS
  dt2_save_LIBS=$LIBS
  $2[]_CFLAGS="-I$with_$1/include"
  $2[]_LIBS="-L$with_$1/lib -l$4"
  AS_IF([test -d "$with_$1/lib64"], [$2[]_LIBS="-L$with_$1/lib64 $$2[]_LIBS"])
  CPPFLAGS="$CPPFLAGS $$2[]_CFLAGS"
  LDFLAGS="$LDFLAGS -L$with_$1/lib -L$with_$1/lib64"
  AC_CHECK_HEADER([$3], [], [AC_MSG_ERROR([--with-$1=$with_$1: include/$3 does not compile])])
  AC_CHECK_LIB([$4], [$5], [], [AC_MSG_ERROR([--with-$1=$with_$1: there is no lib/lib$4.so with $5])])
  CPPFLAGS=$dt2_save_CPPFLAGS
  LDFLAGS=$dt2_save_LDFLAGS
  LIBS=$dt2_save_LIBS
  AC_SUBST($2[_CFLAGS])
  AC_SUBST($2[_LIBS])
])
