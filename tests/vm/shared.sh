# SPDX-License-Identifier: BSD-3-Clause
# Two processes share, and each page that either has mapped lies where both want it; a third that wants it elsewhere has its own.
# shellcheck shell=sh disable=SC2154 # count
mkdir /dev/shm && mount -t tmpfs shm /dev/shm
# loaded FILE: waits until a load has ended.
loaded() { until grep -q '^shared\|^error' "$1"; do sleep 0.1; done; }
where -s /end /model 'cpu:0,50%;cpu:3,*' 1 >/out1 2>&1 &
loaded /out1
where -s /end /model 'cpu:0,50%;cpu:3,*' 1 >/out2 2>&1 &
loaded /out2
where -s /end /model 'cpu:1,50%;cpu:3,*' 1 >/out3 2>&1 &
loaded /out3
for rank in 1 2; do
    cp /out$rank /out
    verdict "shared by two, rank $rank: the first half lies on node 0" only cpu:0 0
    verdict "shared by two, rank $rank: the second on node 3" only cpu:3 3
    verdict "shared by two, rank $rank: all of it" has '^shared 125829120 '
done
cp /out1 /out
verdict 'the first of them filled it' has 'filled 125829120$'
cp /out2 /out
verdict 'and the second nothing' has 'filled 0$'
cp /out3 /out
verdict 'who wants a half on node 1 has it there' only cpu:1 1
verdict 'shares the other half' has '^shared 62914560 filled 0$'
verdict 'and is told' has '^warning .*another NUMA node'
: >/end
wait
verdict 'all have ended' none_killed
