# SPDX-License-Identifier: BSD-3-Clause
# A part of init.sh: what is planned for a node lies there.
# shellcheck shell=sh disable=SC2154 # count
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
