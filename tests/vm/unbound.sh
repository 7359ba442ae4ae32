# SPDX-License-Identifier: BSD-3-Clause
# A part of init.sh: binding is forbidden, as in containers.
# shellcheck shell=sh disable=SC2154 # count
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
