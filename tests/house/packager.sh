#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# usage: packager.sh TARBALL [OPTION OF CONFIGURE]...
#
# Builds a tarball and runs all its tests as machines of distributions do: somebody without a home, a network, a terminal, and
# with hardly any environment, in the language C, from a source that cannot be written. What is installed there is tried, and
# that make uninstall and distclean leave nothing. As root it is nobody who does it. `make check-packager` runs this.
#
# Environment: DT2_PACKAGER, what to make there, instead of all that. DT2_PACKAGER_TESTS, the tests that are run, instead of all.
# DT2_PACKAGER_HIDES=yes hides /sys and /dev/pts, too, which only root can; more is skipped then. DT2_PACKAGER_AS=root: root stays
# root. DT2_PACKAGER_RESULTS, a file for the line of each test.
set -eu
tarball=$1
shift
work=$(mktemp -d "${TMPDIR:-/tmp}/distorch2-packager.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
chmod 755 "$work"

mkdir "$work/source" "$work/build" "$work/temporary"
gzip -dc "$tarball" | tar -xf - -C "$work/source" --strip-components=1 --no-same-owner
chmod -R a-w "$work/source"
chmod -R a+rX "$work/source"
printf '%s\n' "$@" >"$work/options"

skips=check-skips
[ "${DT2_PACKAGER_HIDES:-no}" = no ] || skips=
looks=$skips # at what was skipped, of all tests
if [ -n "${DT2_PACKAGER_TESTS-}" ]; then
    printf '%s' "$DT2_PACKAGER_TESTS" | tr -s '[:space:]' ' ' | sed 's/^/TESTS=/' >"$work/tests"
    looks=
fi
# What nobody does, in an environment of this alone.
cat >"$work/job" <<END
set -eu
umask 022
while read -r option; do
    set -- "\$@" "\$option"
done <"$work/options"
[ -n "\${1-}" ] || shift
cd "$work/build"
../source/configure -q --prefix="$work/build/prefix" "\$@"
make -s -j$(nproc)
for target in ${DT2_PACKAGER:-check $looks install installcheck uninstall distclean}; do
    if [ "\$target" = check ] && [ -f "$work/tests" ]; then
        make -s -j$(nproc) check "\$(cat "$work/tests")"
    else
        make -s -j$(nproc) \$target
    fi
done
test -n "${DT2_PACKAGER-}" || ! find . ! -type d | grep .
END

can() {
    "$@" true 2>/dev/null
}

set -- env -i PATH="$PATH" LC_ALL=C TMPDIR="$work/temporary" sh "$work/job"
as="this user"
if [ "$(id -u)" -eq 0 ]; then
    as=root
    if [ "${DT2_PACKAGER_AS:-nobody}" != root ]; then
        chown 65534:65534 "$work/build" "$work/temporary"
        set -- setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs "$@"
        as=nobody
    fi
    # shellcheck disable=SC2016 # the inner shell expands it
    hidden='mount -t tmpfs none /sys && mount -t tmpfs none /dev/pts && exec "$@"'
    if [ -z "$skips" ]; then
        set -- unshare -m sh -c "$hidden" sh "$@"
        as="$as, without /sys and /dev/pts"
    fi
    if can unshare -n; then
        set -- unshare -n "$@"
        as="$as, without a network"
    fi
elif can unshare --user --map-current-user --net; then
    set -- unshare --user --map-current-user --net "$@"
    as="$as, without a network"
fi
echo "as $as"

status=0
setsid -w "$@" </dev/null >"$work/log" 2>&1 || status=$?
grep -v '^PASS: \|^  [A-Z]' "$work/log" | grep -E '^(FAIL|ERROR|not ok)|error:|allowed|^ *[0-9]+  |^# (TOTAL|PASS|SKIP|FAIL|ERROR)' || :
[ -z "${DT2_PACKAGER_RESULTS-}" ] || find "$work/build/tests" -name '*.log' \
    -exec grep -ahE '^(PASS|SKIP|FAIL|XPASS|XFAIL|ERROR): ' {} + >"$DT2_PACKAGER_RESULTS" || :
if [ $status -ne 0 ]; then
    tail -n 60 "$work/log"
    find "$work/build/tests" -name '*.log' -exec grep -l '^\(FAIL\|ERROR\)' {} + | head -n 3 | while read -r log; do
        echo "== ${log#"$work/"}"
        tail -n 60 "$log"
    done
fi
exit $status
