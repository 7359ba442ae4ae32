#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# One source makes one tarball: from checkouts in other folders, with another umask, time, zone and language, and from that
# tarball itself. When tar fails there is none. `make check-dist` runs this; it configures three times.
set -u
. "${0%/*}/../support/tap.sh"
src=$(cd "${top_srcdir:-.}" && pwd) || exit 1
make=${MAKE:-make}
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
# The make that runs this is not that of the copies.
unset MAKEFLAGS MFLAGS MAKELEVEL SOURCE_DATE_EPOCH

# This source in another folder: a checkout with what has been changed since its commit; where git tells of none, this tarball.
copy() {
    mkdir -p "$1"
    if [ -e "$src/.git" ] && git -C "$src" rev-parse HEAD; then
        git clone -q "$src" "$1" && git -C "$src" diff --binary HEAD >"$work/changes" &&
            { [ ! -s "$work/changes" ] || git -C "$1" apply "$work/changes"; } && "$1/bootstrap"
    else
        tar -xzf "${top_builddir:-.}/$name.tar.gz" -C "$1" --strip-components=1
    fi
}

# packed SOURCE [VARIABLE=VALUE]...: that source's tarball is SOURCE.tar.gz.
packed() {
    from=$1
    shift
    mkdir -p "$from/b" && cd "$from/b" || return
    [ -f Makefile ] || ../configure -q || return
    env "$@" "$make" -s dist-gzip && mv "$name.tar.gz" "$from.tar.gz"
    status=$?
    cd "$src" && return $status
}

from_copy() { # SOURCE UMASK [VARIABLE=VALUE]...
    (
        umask "$2" && copy "$1" && from=$1 && shift 2 && packed "$from" "$@"
    )
}

# What a tarball unpacks to, in somebody's repository of other things.
from_tarball() { # SOURCE TARBALL
    mkdir -p "${1%/*}" && tar -xzf "$2" -C "${1%/*}" && mv "${1%/*}/$name" "$1" && {
        ! command -v git || git init -q "${1%/*}" &&
            GIT_COMMITTER_DATE='2001-01-01T00:00:00Z' git -C "${1%/*}" -c user.name=nobody -c user.email=nobody@localhost \
                commit -q --allow-empty -m none
    } && packed "$1"
}

# Where tar stops half-way there is no tarball, and make fails.
stopping() {
    mkdir -p "$work/bin"
    printf '#!/bin/sh\n%s "$@" | head -c 20\nexit 2\n' "$(command -v tar)" >"$work/bin/tar"
    chmod +x "$work/bin/tar"
    rm -f "$1.tar.gz"
    ! packed "$1" PATH="$work/bin:$PATH" && ! ls "$1/b/$name".tar*
}

newest() { # TARBALL: the time of each member
    tar -tzvf "$1" --full-time --utc | awk '{ print $4, $5 }' | sort -u
}

name=$(sed -n 's/^AC_INIT(\[\([^]]*\)\], \[\([^]]*\)\].*/\1-\2/p' "$src/configure.ac")
one=$work/one
other=$work/another-name/and-deeper/other
mkdir -p "${other%/*}"
check "a tarball" from_copy "$one" 022
sleep 1
check "one of another checkout, by somebody with other habits" from_copy "$other" 077 TZ=Asia/Kathmandu LC_ALL=C.UTF-8
check "they are the same" cmp "$one.tar.gz" "$other.tar.gz"
check "a tarball of what the first unpacks to" from_tarball "$work/repository/itself" "$one.tar.gz"
check "it is the same" cmp "$one.tar.gz" "$work/repository/itself.tar.gz"
echo "# $(sha256sum "$one.tar.gz" | cut -d ' ' -f 1)  $name.tar.gz"
echo "# $(sha256sum "$other.tar.gz" | cut -d ' ' -f 1)  $name.tar.gz"

check "SOURCE_DATE_EPOCH sets its time" packed "$one" SOURCE_DATE_EPOCH=86400
check "and nothing else does" test "$(newest "$one.tar.gz")" = '1970-01-02 00:00:00'
check "where tar fails there is none" stopping "$one"

finish
