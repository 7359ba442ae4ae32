#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# usage: counts.sh TARBALL
#
# make check-counts: all tests of a tarball on each of a packager's machines, as packager.sh makes them, and a table of what they
# counted. What is skipped on some of them only is listed: on which, and why. Takes as long as make check does, four times.
# DT2_COUNTS, the names of those that are run, instead of all.
set -u
. "${0%/*}/../support/tap.sh"
tarball=$1
packager=${0%/*}/packager.sh
names=${DT2_COUNTS:-root nobody plain lto}
for name in $names; do
    case $name in
    root) set -- "root, with what headers of vendors there are" ;;
    nobody) set -- "somebody without privileges, with the same" ;;
    plain) set -- "somebody, without headers of vendors" --without-vendor-headers ;;
    lto) set -- "somebody, with -flto=auto" CFLAGS="-g -O2 -flto=auto" ;;
    *) echo "counts.sh: $name is none of root, nobody, plain, lto" >&2 && exit 2 ;;
    esac
    what=$1
    shift
    DT2_PACKAGER=check DT2_PACKAGER_AS=$name DT2_PACKAGER_RESULTS=$work/$name.results sh "$packager" "$tarball" "$@" >"$work/out" 2>&1
    verdict $? "$what: all pass"
    # One line a skip, without the number that it has within its test.
    sed -n 's/^SKIP: \([^ ]*\) [0-9]* *\(.*\)/\1 \2/p' "$work/$name.results" | sort >"$work/$name.skips"
done

echo "#"
printf '# %-8s %8s %8s %8s\n' "" passed skipped failed
for name in $names; do
    awk -v name="$name" '/^PASS/ { passed++ } /^SKIP/ { skipped++ } /^(FAIL|XPASS|ERROR)/ { failed++ }
        END { printf "# %-8s %8d %8d %8d\n", name, passed, skipped, failed }' "$work/$name.results"
done
echo "# skipped on some only:"
for name in $names; do
    sed "s|^|$name\t|" "$work/$name.skips"
done | awk -F'\t' -v all="$(echo "$names" | wc -w)" '
    { seen[$2] = seen[$2] " " $1; n[$2]++ }
    END { for (skip in seen) if (n[skip] % all) print "#  " seen[skip] ": " skip }' | sort
finish
