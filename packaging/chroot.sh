#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# usage: chroot.sh FOLDER
#
# Installs Debian packages, FOLDER/*.deb, in a fresh chroot, tries what they are for, purges them, and compares all files with what
# was there before. `make check-deb` runs this after `make deb`. Needs root, mmdebstrap and a network; prints TAP.
set -u
packages=$1

skip() {
    echo "1..0 # SKIP $*"
    exit 0
}
command -v mmdebstrap >/dev/null || skip "mmdebstrap is not installed"
[ "$(id -u)" -eq 0 ] || skip "only root makes a chroot"

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
root=$work/root
# shellcheck source=/dev/null
mmdebstrap --variant=apt --include=python3 --skip=cleanup/apt "$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")" "$root" \
    >"$work/log" 2>&1 || skip "no chroot can be made here, perhaps for want of a network: $(tail -n 1 "$work/log")"
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

number=0 status=0
check() { # WHAT COMMAND...
    number=$((number + 1))
    what=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        echo "ok $number - $what"
    else
        echo "not ok $number - $what"
        tail -n 20 "$work/log" | sed 's/^/# /'
        status=1
    fi
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
echo "1..$number"
exit $status
