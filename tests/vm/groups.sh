# SPDX-License-Identifier: BSD-3-Clause
# A part of init.sh: several loads at once, the caller's memory policy, control groups. Whatever is short, nobody is killed.
# shellcheck shell=sh disable=SC2154 # count
where /model 'cpu:1,*' 2 cpu:1=100gb >/out1 2>&1 &
where /model 'cpu:1,*' 2 cpu:1=100gb >/out 2>&1
wait
verdict 'two loads at once on one node end' test -s /out
where /model 'cpu:1,*' 1 >/out 2>&1
verdict 'and whoever was refused half-way has given all back: it fits again' only cpu:1 1
where -b 1 /model 'cpu,*' 1 >/out 2>&1
verdict 'a policy that binds is followed' only cpu 1
where -b 1 /model 'cpu,*' 9 >/out 2>&1
verdict 'and where its node is full, that is said' has '^error 3 '
where -i /model 'cpu:2,*' 1 >/out 2>&1
verdict 'a policy that interleaves is not' only cpu:2 2
verdict 'and this is said' has '^log .*interleave'
echo 200M >/cg/small/memory.max
inside() { sh -c 'echo $$ >/cg/'"$1"'/cgroup.procs; exec where /model "cpu,*" '"${2:-1}"; }
inside small >/out1 2>&1 &
inside small >/out 2>&1
wait
cat /out1 >>/out
verdict 'two loads at once under one memory.max: one is told that it does not fit any more' has '^error 3 '
inside small >/out 2>&1
verdict 'and one alone fits' has '^cpu:0 node'
echo 100M >/cg/high/memory.high
inside high >/out 2>&1
verdict 'more than memory.high is refused' has '^error 3 '
echo 200M >/cg/high/memory.high
inside high >/out 2>&1
verdict 'less of it fits' has '^cpu:0 node'
inside high 2 >/out 2>&1
verdict 'and a second load under it is refused, not throttled for ever' has '^error 3 '
echo 2 >/cg/set/cpuset.mems
inside set >/out 2>&1
verdict 'a cpuset of one node: all lies there' only cpu 2
inside set 9 >/out 2>&1
verdict 'and where that is full, it is said' has '^error 3 '
