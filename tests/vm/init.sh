#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The first program of the virtual machine of tests/vm/run.sh: four NUMA nodes of 512 MiB, one without memory and one without
# processors. Prints TAP of the parts that /parts names.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
export HOME=/ DISTORCH2_BACKEND_PATH=/nothing
count=0

# What the kernel says of a run: pages of each device, and where they lie.
pages()
{
    awk '$2 ~ /^node[0-9]/ { for (i = 2; i < NF; i += 2) all[$1 " " $i] += $(i + 1) } END { for (k in all) print "#   " k ": " all[k] }' /out
}

# verdict NAME COMMAND...: a line of TAP.
verdict()
{
    count=$((count + 1)) name=$1
    shift
    if "$@"; then
        echo "ok $count - $name"
        pages
    else
        echo "not ok $count - $name"
        sed 's/^/# /' /out
    fi
}

# only DEVICE NODE: each of its buffers lies on that node as a whole.
only()
{
    awk -v device="$1" -v node="node$2" '$1 == device { found = 1; if (NF != 3 || $2 != node) bad = 1 } END { exit !found || bad }' /out
}

# mostly DEVICE NODE: three quarters of its bytes lie there, and what does not is said: the kernel may move what is not bound.
mostly()
{
    awk -v device="$1" -v node="node$2" '
        $1 == device { found = 1; there = NF == 3 && $2 == node }
        /^warning .* lie on other nodes/ { for (i = 1; i < NF; i++) if ($i == "of") { said = $(i + 3) * 4 <= $(i + 1) } }
        END { exit !(found && (there || said)) }' /out
}

# has TEXT
has() { grep -q -- "$1" /out; }
killed() { dmesg | grep -qi 'out of memory\|oom-kill\|killed process'; }
none_killed() { ! killed; }

skip() { count=$((count + 1)) && echo "ok $count - $1 # SKIP $2"; }

# load FILE WAY: from a disk that has to be read; every byte is verified.
load()
{
    echo 3 >/proc/sys/vm/drop_caches
    distorch2 load "$1" "--io=$2" --compute-device cpu:1 --verify >/out 2>&1
}

echo TAP-BEGIN
mkdir /cg && mount -t cgroup2 cgroup /cg && echo '+memory +cpuset' >/cg/cgroup.subtree_control &&
    mkdir /cg/small /cg/high /cg/set /cg/kept
for part in $(cat /parts); do
    # shellcheck source=/dev/null
    . "/$part.sh"
done
: >/out
verdict 'nobody was killed' none_killed
echo "1..$count"
echo TAP-END
poweroff -f
