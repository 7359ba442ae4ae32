#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The first program of the virtual machine of tests/vm/run.sh: four NUMA nodes of 512 MiB. Prints TAP.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
export HOME=/ DISTORCH2_BACKEND_PATH=/nothing
count=0

# verdict NAME COMMAND...: a line of TAP.
verdict()
{
    count=$((count + 1)) name=$1
    shift
    if "$@"; then echo "ok $count - $name"; else echo "not ok $count - $name"; sed 's/^/# /' /out; fi
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

echo TAP-BEGIN
for node in 0 1 2 3; do
    where /model "cpu:$node,*" 1 >/out 2>&1
    verdict "all on cpu:$node: every page lies there" only "cpu:$node" $node
done
where /model 'cpu:1,50%;cpu:3,*' 1 >/out 2>&1
verdict 'two shares: the first on node 1' only cpu:1 1
verdict 'the second on node 3' only cpu:3 3
where /model 'cpu:2,*' 9 cpu:2=100gb >/out 2>&1
verdict 'a node that is full refuses, though its budget says that it fits' has '^error 3 '
verdict 'what fitted before lies there' only cpu:2 2
where /model 'cpu:2,*' 1 >/out 2>&1
verdict 'and all was given back: it fits again' only cpu:2 2
for node in 1 2; do
    where -u /model "cpu:$node,*" 1 >/out 2>&1
    verdict "binding forbidden: threads of node $node touch what is to lie there, and it does" mostly "cpu:$node" $node
done
where -u /model 'cpu:3,*' 9 cpu:3=100gb >/out 2>&1
verdict 'more than the node has: it is said what lies elsewhere, or refused' has '^warning .* lie on other nodes\|^error 3 '
where /model 'cpu:1,*' 2 cpu:1=100gb >/out1 2>&1 &
where /model 'cpu:1,*' 2 cpu:1=100gb >/out 2>&1
wait
verdict 'two loads at once on one node end' test -s /out
mkdir /cg && mount -t cgroup2 cgroup /cg && echo +memory >/cg/cgroup.subtree_control && mkdir /cg/small
echo 200M >/cg/small/memory.max
inside() { sh -c 'echo $$ >/cg/small/cgroup.procs; exec where /model "cpu,*" 1'; }
inside >/out1 2>&1 &
inside >/out 2>&1
wait
cat /out1 >>/out
verdict 'two loads at once under one memory.max: one is told that it does not fit any more' has '^error 3 '
inside >/out 2>&1
verdict 'and one alone fits' has '^cpu:0 node'
verdict 'nobody was killed' none_killed
echo "1..$count"
echo TAP-END
poweroff -f
