dnl SPDX-License-Identifier: BSD-3-Clause

dnl DT2_CHECK_FLAG(FLAG, VARIABLE): appends FLAG to VARIABLE when the compiler takes it without a word.
AC_DEFUN([DT2_CHECK_FLAG], [
  AS_VAR_PUSHDEF([cache], [dt2_cv_flag_$1])
  AC_CACHE_CHECK([whether $CC takes $1], [cache], [
    dt2_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $1"
    AC_LINK_IFELSE([AC_LANG_PROGRAM()], [AS_VAR_SET([cache], [yes])], [AS_VAR_SET([cache], [no])])
    CFLAGS=$dt2_save_CFLAGS
  ])
  AS_VAR_IF([cache], [yes], [$2="$$2 $1"])
  AS_VAR_POPDEF([cache])
])

AC_DEFUN([DT2_WARNINGS], [
  AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [make warnings of the compiler errors, as CI does])], [], [enable_werror=no])
  DT2_WARN_CFLAGS="-Wall -Wextra"
  m4_foreach_w([flag], [-Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla
                        -Wundef -Wformat=2 -Wcast-qual -Wno-format-nonliteral],
    [DT2_CHECK_FLAG(flag, [DT2_WARN_CFLAGS])])
  AS_IF([test "x$enable_werror" = xyes], [DT2_WARN_CFLAGS="$DT2_WARN_CFLAGS -Werror"])
  AC_SUBST([DT2_WARN_CFLAGS])
])

dnl DT2_VECTORS: for loops over elements. These hold whatever -O comes after them, and a product and a sum are rounded one by one.
AC_DEFUN([DT2_VECTORS], [
  DT2_VECTOR_CFLAGS=
  m4_foreach_w([flag], [-ftree-vectorize -fvect-cost-model=dynamic -ffp-contract=off],
    [DT2_CHECK_FLAG(flag, [DT2_VECTOR_CFLAGS])])
  AC_SUBST([DT2_VECTOR_CFLAGS])
])

dnl DT2_HARDENING: on by default. A distribution's own flags come after ours and win; where they set _FORTIFY_SOURCE, ours
dnl stays out of the way. Sanitizers bring their own checks of the same calls.
AC_DEFUN([DT2_HARDENING], [
  AC_ARG_ENABLE([hardening],
    [AS_HELP_STRING([--disable-hardening], [leave out stack protection, fortified calls and read-only relocations])],
    [], [enable_hardening=yes])
  DT2_HARDEN_CFLAGS=
  DT2_HARDEN_LDFLAGS=
  AS_IF([test "x$enable_hardening" = xyes], [
    m4_foreach_w([flag], [-fstack-protector-strong -fstack-clash-protection -fcf-protection],
      [DT2_CHECK_FLAG(flag, [DT2_HARDEN_CFLAGS])])
    AS_CASE([" $CPPFLAGS $CFLAGS "],
      [*_FORTIFY_SOURCE*|*-fsanitize*|*" -O0 "*], [],
      [DT2_HARDEN_CFLAGS="$DT2_HARDEN_CFLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"])
    m4_foreach([flag], [[-Wl,-z,relro], [-Wl,-z,now], [-Wl,-z,noexecstack]],
      [DT2_CHECK_FLAG(m4_quote(flag), [DT2_HARDEN_LDFLAGS])])
  ])
  AC_SUBST([DT2_HARDEN_CFLAGS])
  AC_SUBST([DT2_HARDEN_LDFLAGS])
])

dnl DT2_WRAPPED: tests put functions of theirs in the place of the C library's by the linker, which sees no call in what is only there
dnl for link-time optimization: objects then have both, and these tests are linked without.
AC_DEFUN([DT2_WRAPPED], [
  DT2_FAT_CFLAGS=
  DT2_WRAPPED_LDFLAGS=
  AS_CASE([" $CFLAGS "], [*" -flto"*], [
    DT2_CHECK_FLAG([-ffat-lto-objects], [DT2_FAT_CFLAGS])
    DT2_CHECK_FLAG([-fno-lto], [DT2_WRAPPED_LDFLAGS])])
  AC_SUBST([DT2_FAT_CFLAGS])
  AC_SUBST([DT2_WRAPPED_LDFLAGS])
])

dnl DT2_LINK_DEFS (a macro must not have the name of the variable that it sets): a library that lacks a symbol does not link. Sanitized ones do lack some: clang keeps its runtime in the
dnl program.
AC_DEFUN([DT2_LINK_DEFS], [
  AS_CASE([" $CFLAGS $LDFLAGS "], [*-fsanitize*], [DT2_NO_UNDEFINED=], [DT2_NO_UNDEFINED=-Wl,-z,defs])
  AC_SUBST([DT2_NO_UNDEFINED])
])
