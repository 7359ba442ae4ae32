#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# quickstart on systems with other package managers, by stubs of them: what it would install, and that it asks first.
set -u
. "${0%/*}/../support/tap.sh"
src=$(cd "${top_srcdir:-.}" && pwd) || exit 1
show "$work/said" "$work/out"

# A system with these programs alone, where the database knows of gcc and make and of nothing else.
system() { # MANAGER, PROGRAM OF ITS DATABASE
    rm -rf "${work:?}/bin"
    mkdir "$work/bin"
    for tool in sh dirname id cat sed sudo env; do
        real=$(command -v $tool) && ln -s "$real" "$work/bin/$tool"
    done
    printf '#!/bin/sh\necho "$0 $*" >>"%s"\n' "$work/called" >"$work/bin/$1"
    cat >"$work/bin/$2" <<END
#!/bin/sh
case "\$*" in
*gcc | *make) echo installed; exit 0 ;;
-S*) echo "\$0 \$*" >>"$work/called"; exit 0 ;;
esac
exit 1
END
    chmod +x "$work/bin/$1" "$work/bin/$2"
}

try() { # MANAGER DATABASE LINE
    system "$1" "$2"
    rm -f "$work/called"
    PATH=$work/bin "$work/bin/sh" "$src/quickstart" --no-install check >"$work/said" 2>&1
    status=$?
    check "$1: it prints the line, and stops" test $status -eq 1
    check "$1: the line is its own" grep -E "^(sudo )?$3 " "$work/said"
    check "$1: it names what is missing" grep -E '(hwloc|jansson)' "$work/said"
    grep -wE '^(sudo )?[a-z-]+ .* (gcc|make)( .*|$)' "$work/said" >"$work/named"
    check "$1: and not what is there" test ! -s "$work/named"
    check "$1: nothing was installed" test ! -e "$work/called"
}

try apt-get dpkg-query 'apt-get install -y'
try dnf rpm 'dnf install -y'
try zypper rpm 'zypper --non-interactive install'
try pacman pacman 'pacman -S'
finish
