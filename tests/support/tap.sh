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

# verdict STATUS WHAT [FILE]...: whether the status is 0; else what the files have is shown.
verdict() {
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - $2"
        return
    fi
    failed=$((failed + 1))
    echo "not ok $count - $2"
    shift 2
    for said; do
        head -n 40 "$said" 2>/dev/null | sed 's/^/# /'
    done
}

# check WHAT COMMAND...: whether the command succeeds; else what it said is shown.
check() {
    what=$1
    shift
    "$@" >"$work/out" 2>&1
    verdict $? "$what" "$work/out"
}

# nothing_in FILE WHAT: whether the file is empty; else it is shown.
nothing_in() {
    test ! -s "$1"
    verdict $? "$2" "$1"
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
