dnl SPDX-License-Identifier: BSD-3-Clause

dnl DT2_MPI: a library and a tool of their own, for one implementation of MPI: what its compiler wrapper adds says all of it.
AC_DEFUN([DT2_MPI], [
  AC_ARG_WITH([mpi], [AS_HELP_STRING([--with-mpi@<:@=MPICC@:>@], [libdistorch2-mpi and distorch2-mpi, by that compiler of MPI's @<:@no@:>@])],
    [], [with_mpi=no])
  dt2_mpi=no
  MPI_CFLAGS=
  MPI_LIBS=
  AS_IF([test "x$with_mpi" != xno], [
    AS_IF([test "x$with_mpi" = xyes], [with_mpi=mpicc])
    AC_PATH_PROG([MPICC], [$with_mpi])
    AS_IF([test -z "$MPICC"], [AC_MSG_ERROR([--with-mpi: there is no $with_mpi (libopenmpi-dev or libmpich-dev on Debian)])])
    for dt2_word in $("$MPICC" -show); do
      AS_CASE([$dt2_word],
        [-I*|-D*], [MPI_CFLAGS="$MPI_CFLAGS $dt2_word"],
        [-L*|-l*|-Wl,*|-pthread], [MPI_LIBS="$MPI_LIBS $dt2_word"])
    done
    dt2_save_CFLAGS=$CFLAGS
    dt2_save_LIBS=$LIBS
    CFLAGS="$CFLAGS $MPI_CFLAGS"
    LIBS="$MPI_LIBS $LIBS"
    AC_MSG_CHECKING([whether programs of MPI's can be linked])
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <mpi.h>
#if MPI_VERSION < 3
#error "MPI 3 is needed"
#endif]], [[return MPI_Ibcast(0, 0, MPI_BYTE, 0, MPI_COMM_WORLD, 0);]])],
      [AC_MSG_RESULT([yes])],
      [AC_MSG_RESULT([no])
       AC_MSG_ERROR([--with-mpi=$with_mpi: a program for MPI 3 cannot be linked by what $MPICC -show says])])
    CFLAGS=$dt2_save_CFLAGS
    LIBS=$dt2_save_LIBS
    dt2_mpi=$MPICC
  ])
  AC_SUBST([MPICC])
  AC_SUBST([MPI_CFLAGS])
  AC_SUBST([MPI_LIBS])
  AM_CONDITIONAL([WITH_MPI], [test "x$dt2_mpi" != xno])
])
