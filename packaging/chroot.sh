#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# usage: chroot.sh FOLDER
#
# Installs Debian packages, FOLDER/*.deb, in a fresh chroot, tries what they are for, purges them, and compares all files with what
# was there before. Then autopkgtest has the chroot. `make check-deb` runs this after `make deb`. Needs root, mmdebstrap and a
# network; prints TAP.
set -u
. "${0%/*}/../tests/support/tap.sh"
packages=$1
command -v mmdebstrap >/dev/null || skip_all "mmdebstrap is not installed"
[ "$(id -u)" -eq 0 ] || skip_all "only root makes a chroot"

root=$work/root
# shellcheck source=/dev/null
mmdebstrap --variant=apt --include=python3 --skip=cleanup/apt "$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")" "$root" \
    >"$work/log" 2>&1 || skip_all "no chroot can be made here, perhaps for want of a network: $(tail -n 1 "$work/log")"
mkdir "$root/packages"
for package in "$packages"/*.deb; do
    case $package in *-dbgsym_*) ;; *) cp "$package" "$root/packages/" ;; esac
done
names=$(for package in "$root"/packages/*.deb; do dpkg-deb -f "$package" Package; done)

# What packages own or leave; not what apt, dpkg and adduser note of their own doings, or what Python compiles of itself.
files() {
    (cd "$root" && find . -xdev ! -path './packages/*' ! -path './var/log/*' ! -path './var/cache/*' ! -path './var/lib/apt/*' \
        ! -path './var/lib/dpkg/*' ! -path './proc/*' ! -path './run/*' ! -path './etc/ld.so.cache' ! -path './etc/g*shadow-' ! -path './etc/passwd-' ! -path './etc/group-' ! -path '*/__pycache__*' ! -type d | LC_ALL=C sort)
}

inside() {
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive sh -c "$1"
}

files >"$work/before"
check "they are installed, with what they depend on" inside 'apt-get install -y -q --no-install-recommends /packages/*.deb'
check "the tool says its version" inside 'distorch2 --version'
check "the host is there, and drivers for what is not are silent" inside 'distorch2 devices --json | python3 -c "
import json, sys
said = json.load(sys.stdin)
assert [each[\"name\"] for each in said[\"devices\"]][0] == \"cpu\", said"'
check "Python has it" inside 'python3 -c "import distorch2; print(distorch2.Context().devices()[0].name)"'
check "the page is there" test -f "$root/usr/share/man/man1/distorch2.1.gz"
check "each library and module finds what it needs" inside '! ldd /usr/lib/*/libdistorch2*.so.? /usr/lib/*/distorch2/*/*.so | grep "not found"'
# shellcheck disable=SC2086 # they are words
check "they are purged, with what they brought" inside "apt-get purge -y -q $(echo $names) && apt-get autoremove --purge -y -q -o APT::AutoRemove::RecommendsImportant=0 -o APT::AutoRemove::SuggestsImportant=0"
files >"$work/after"
check "nothing is left, and nothing is gone" diff "$work/before" "$work/after"

# The tests that the source has for the packages: packaging/debian/tests.
own_tests() {
    autopkgtest "$root"/packages/*.deb "$packages"/*.dsc -- chroot "$root" >"$work/tests" 2>&1
    status=$?
    sed -n '/@@@@ summary/,$p' "$work/tests"
    [ $status -eq 0 ] && grep -q '^installcheck  *PASS' "$work/tests"
}
if command -v autopkgtest >/dev/null; then
    check "autopkgtest passes" own_tests
else
    skip "autopkgtest" "it is not installed"
fi
finish
