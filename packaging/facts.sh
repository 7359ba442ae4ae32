#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# usage: facts.sh [FACT NEW]
#
# What configure.ac says of the project, and formats of others want written once more: the version, the address for bugs, the
# address of its pages. Without arguments it prints where each stands, and fails where one is not as configure.ac has it. With
# two it changes a fact everywhere: facts.sh version 0.2.0. (What a version changed is written into NEWS and the changelogs by hand.)
set -u
cd "$(dirname "$0")/.." || exit 1

# FACT, FILE, and a line of it up to the fact, and after it: basic regular expressions.
table() {
    cat <<'END'
version|configure.ac|AC_INIT(\[distorch2\], \[|\].*
address|configure.ac|AC_INIT(\[distorch2\], \[[^]]*\], \[|\].*
home|configure.ac|AC_INIT(.*, \[|\])
version|CITATION.cff|version: |
home|CITATION.cff|url: |
version|docs/packaging.md|- The version, `|`.*
version|packaging/distorch2.spec|Version:  *|
home|packaging/distorch2.spec|URL:  *|
version|packaging/distorch2.spec|\* .*> - |-[0-9]*
address|packaging/distorch2.spec|\* .* The distorch2 authors <|> .*
version|packaging/debian/changelog|distorch2 (|-[0-9]*) .*
address|packaging/debian/changelog| -- The distorch2 authors <|>.*
address|packaging/debian/control|Maintainer: The distorch2 authors <|>
home|packaging/debian/control|Homepage: |
version|packaging/easybuild/distorch2.eb|version = '|'
home|packaging/easybuild/distorch2.eb|homepage = '|'
version|packaging/guix.scm|    (version "|")
home|packaging/guix.scm|    (home-page "|")
version|packaging/spack/package.py|    version("|".*
home|packaging/spack/package.py|    homepage = "|"
home|packaging/spack/package.py|    url = "|/distorch2-.*
version|packaging/spack/package.py|    url = ".*/distorch2-|\.tar\.gz"
version|python/distorch2/__init__.py|__version__ = "|"
version|python/pyproject.toml|version = "|"
version|python/comfyui/pyproject.toml|version = "|"
END
}

# at FILE BEFORE AFTER: what stands there first.
at() {
    sed -n "s|^$2\([^]\"'\`<>) ]*\)$3\$|\1|p" "$1" | head -n 1
}

wanted() {
    table | while IFS='|' read -r fact file before after; do
        [ "$file $fact" != "configure.ac $1" ] || at "$file" "$before" "$after"
    done
}

if [ $# -eq 2 ]; then
    [ -n "$(wanted "$1")" ] || { echo "facts.sh: no fact '$1': version, address, home" >&2; exit 2; }
    case $2 in
    *[!A-Za-z0-9.+~@:/_-]* | '') echo "facts.sh: '$2' has characters that some format takes for its own" >&2; exit 2 ;;
    esac
    table | while IFS='|' read -r fact file before after; do
        [ "$fact" = "$1" ] || continue
        old=$(at "$file" "$before" "$after")
        line=$(grep -n -m 1 "^$before$old$after\$" "$file" | cut -d: -f1)
        sed "${line}s|^\($before\)$old\($after\)\$|\1$2\2|" "$file" >"$file.new" && cat "$file.new" >"$file"
        rm -f "$file.new"
    done
elif [ $# -ne 0 ]; then
    sed -n 's/^# usage: /usage: /p' "$0" >&2
    exit 2
fi

table | {
    status=0
    while IFS='|' read -r fact file before after; do
        found=$(at "$file" "$before" "$after")
        right=$(wanted "$fact")
        if [ -n "$found" ] && [ "$found" = "$right" ]; then
            printf '%-8s %-36s %s\n' "$fact" "$file" "$found"
        else
            printf '%-8s %-36s %s, and %s in configure.ac\n' "$fact" "$file" "${found:-is not found}" "$right"
            status=1
        fi
    done
    exit $status
}
