# SPDX-License-Identifier: BSD-3-Clause
# Sourced by tests in shell: lines of TAP with what a check that fails has said, and a folder to work in, which goes away again.
#
#     . "${0%/*}/../support/tap.sh"
#     check "a tensor is listed" grep tensor "$work/list"
#     finish
# shellcheck shell=sh
work=$(mktemp -d "${TMPDIR:-/tmp}/distorch2-test.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
count=0
failed=0

# There is nothing to test: WHY.
skip_all() {
    echo "1..0 # SKIP $*"
    exit 0
}

# show FILE...: what is shown of a check that fails.
show() {
    shown=$*
}
show "$work/out" "$work/err"

# verdict STATUS WHAT: whether the status is 0. (It comes first, since in WHAT a command may be run, which has another.)
verdict() {
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - $2"
        return
    fi
    failed=$((failed + 1))
    echo "not ok $count - $2"
    for file in $shown; do
        head -n 60 "$file" 2>/dev/null | sed 's/^/# /'
    done
}

# check WHAT COMMAND...: whether the command succeeds.
check() {
    what=$1
    shift
    "$@" >"$work/out" 2>&1
    verdict $? "$what"
}

# nothing WHAT TEXT: whether the text is empty; it has what should not be.
nothing() {
    printf '%s\n' "$2" >"$work/out"
    test -z "$2"
    verdict $? "$1"
}

skip() { # WHAT WHY
    count=$((count + 1))
    echo "ok $count - $1 # SKIP $2"
}

# The test's last line and its status.
finish() {
    echo "1..$count"
    [ $failed -eq 0 ]
}
