#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The first program of the virtual machine of tests/vm/run.sh: four NUMA nodes of 512 MiB, one without memory and one without
# processors. Prints TAP.
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

echo TAP-BEGIN
for node in 0 1 2 3 5; do
    where /model "cpu:$node,*" 1 >/out 2>&1
    verdict "all on cpu:$node: every page lies there" only "cpu:$node" $node
done
where /model 'cpu:4,*' 1 >/out 2>&1
verdict 'a node without memory is none to load to' has '^error '
where /model 'cpu:1,50%;cpu:3,*' 1 >/out 2>&1
verdict 'two shares: the first on node 1' only cpu:1 1
verdict 'the second on node 3' only cpu:3 3
where /model 'cpu:2,*' 9 cpu:2=100gb >/out 2>&1
verdict 'a node that is full refuses, though its budget says that it fits' has '^error 3 '
verdict 'what fitted before lies there' only cpu:2 2
where /model 'cpu:2,*' 1 >/out 2>&1
verdict 'and all was given back: it fits again' only cpu:2 2
# What is not bound the kernel may move to who reads it, later and without a word: not while it is looked at.
balancing=/proc/sys/kernel/numa_balancing
[ ! -w $balancing ] || echo 0 >$balancing
for node in 1 2; do
    where -u /model "cpu:$node,*" 1 >/out 2>&1
    verdict "binding forbidden: threads of node $node touch what is to lie there, and it does" mostly "cpu:$node" $node
done
where -u /model 'cpu:5,*' 1 >/out 2>&1
verdict 'binding forbidden, a node without processors: it is said what lies elsewhere' has '^warning .* lie on other nodes\|^cpu:5 node5 [0-9]*$'
where -u /model 'cpu:3,*' 9 cpu:3=100gb >/out 2>&1
verdict 'more than the node has: it is said what lies elsewhere, or refused' has '^warning .* lie on other nodes\|^error 3 '
# A card near node 2, which is simulated behind the address of a PCI device that is there.
pci=$(for d in /sys/bus/pci/devices/*; do
    if [ "$(cat "$d/numa_node")" = 2 ] && grep -q '^0x03' "$d/class"; then echo "${d##*/}"; fi
done)
if [ -d /drivers ] && [ -n "$pci" ]; then
    card() { DISTORCH2_BACKEND_PATH=/drivers LD_LIBRARY_PATH=/sim:/lib DISTORCH2_SIM=/card.sim where "$@"; }
    printf '[gpu a]\nname = card\ndrivers = cuda\nmemory = 512MiB\npci = %s\nlink_gbps = 0.1\n' "$pci" >/card.sim
    card /model 'cuda:0,*' 1 >/out 2>&1
    verdict 'staging of a card near node 2 lies there, every page' only wished 2
    verdict 'and its readers run there' has '^readers node2 [1-9]'
    verdict 'and nowhere else' eval '! grep "^readers node[013]" /out'
else
    count=$((count + 1)) && echo "ok $count - a card near node 2 # SKIP no simulator, or no PCI device there"
fi
# shellcheck source=tests/vm/shared.sh
. /shared.sh
# shellcheck source=tests/vm/groups.sh
. /groups.sh
# shellcheck source=tests/vm/disks.sh
. /disks.sh
: >/out
verdict 'nobody was killed' none_killed
echo "1..$count"
echo TAP-END
poweroff -f
