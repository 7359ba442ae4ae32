# SPDX-License-Identifier: BSD-3-Clause
# A part of init.sh: file systems, and disks that fail a read, stall and recover, are slow.
# shellcheck shell=sh disable=SC2154 # count
export DM_DISABLE_UDEV=1
for module in dm-mod dm-delay loop overlay fuse; do
    [ ! -f /modules/$module.ko ] || insmod /modules/$module.ko
done
mkdir -p /mnt/tmp /mnt/disk /mnt/over /mnt/fuse /mnt/loop /mnt/bad
disk=/dev/nvme0n1

skip() { count=$((count + 1)) && echo "ok $count - $1 # SKIP $2"; }

# load FILE WAY: from a disk that has to be read; every byte is verified.
load()
{
    echo 3 >/proc/sys/vm/drop_caches
    distorch2 load "$1" "--io=$2" --compute-device cpu:1 --verify >/out 2>&1
}

# every_way NAME FILE
every_way()
{
    for way in buffered direct auto; do
        verdict "$1: a cold load, --io=$way" load "$2" $way
    done
}

# fails_at FILE WAY: the error says where, which is in the piece that has the bad block; and that is all that happens.
fails_at()
{
    if load "$1" "$2"; then return 1; fi
    awk '{ for (i = 1; i < NF; i++) if ($i == "byte") { at = $(i + 1) + 0 } }
         END { exit !(at <= 15001 * 4096 && at > 14999 * 4096 - 4194304) }' /out
}

# cached_on NODE: it has most of the model in its page cache.
cached_on()
{
    awk '$3 == "Active(file):" || $3 == "Inactive(file):" { kib += $4 } END { exit kib < 102400 }' "/sys/devices/system/node/node$1/meminfo"
}

# table WHAT: all of the disk, or with one block that cannot be read.
table()
{
    size=$(cat /sys/block/nvme0n1/size) bad=$(($(cat /bad-block) * 8))
    case $1 in
    whole) echo "0 $size linear $disk 0" ;;
    slow) echo "0 $size delay $disk 0 20" ;;
    bad) printf '%s\n' "0 $bad linear $disk 0" "$bad 8 error" "$((bad + 8)) $((size - bad - 8)) linear $disk $((bad + 8))" ;;
    esac
}

# becomes WHAT: the disk is one of another kind from now on, while it is mounted.
becomes() { dmsetup suspend bad && table "$1" | dmsetup load bad && dmsetup resume bad; }

# recovers: a load waits while the disk does not answer, and ends well when it does.
recovers()
{
    echo 3 >/proc/sys/vm/drop_caches
    dmsetup suspend --nolockfs bad
    distorch2 load /mnt/bad/model --io=direct --compute-device cpu:1 --verify >/out 2>&1 &
    loader=$!
    sleep 3
    kill -0 $loader && waited=yes || waited=no
    dmsetup resume bad
    wait $loader && [ $waited = yes ]
}

mount -t tmpfs tmpfs /mnt/tmp && cp /model /mnt/tmp/
every_way tmpfs /mnt/tmp/model
rm /mnt/tmp/model
if [ -s /bad-block ] && mount -t ext4 -o ro $disk /mnt/disk; then
    every_way ext4 /mnt/disk/model
    distorch2 load $disk --compute-device cpu:1 >/out 2>&1
    verdict 'the disk itself is refused, and called what it is' has 'is a device; a model is a regular file'
    echo 200M >/cg/kept/memory.min
    echo 3 >/proc/sys/vm/drop_caches
    sh -c 'echo $$ >/cg/kept/cgroup.procs; exec taskset 2 cat /mnt/disk/model' >/dev/null
    where /model 'cpu:1,*' 9 cpu:1=100gb >/out 2>&1
    verdict 'a node of which memory.min keeps the page cache: when it is full, that is said' has '^error 3 '
    verdict 'and the page cache was kept' cached_on 1
    mkdir /mnt/tmp/up /mnt/tmp/work
    if mount -t overlay overlay -o lowerdir=/mnt/disk,upperdir=/mnt/tmp/up,workdir=/mnt/tmp/work /mnt/over; then
        every_way overlayfs /mnt/over/model
        umount /mnt/over
    else
        skip overlayfs 'the kernel has none'
    fi
    if [ -x /bin/bindfs ] && bindfs -r /mnt/disk /mnt/fuse; then
        every_way FUSE /mnt/fuse/model
        umount /mnt/fuse
    else
        skip FUSE 'bindfs is not there'
    fi
    if losetup -r /dev/loop0 $disk && mount -t ext4 -o ro /dev/loop0 /mnt/loop; then
        every_way 'ext4 on a loop device' /mnt/loop/model
        umount /mnt/loop
        losetup -d /dev/loop0
    else
        skip 'ext4 on a loop device' 'the kernel has none'
    fi
    umount /mnt/disk
    if [ -x /bin/dmsetup ] && table bad | dmsetup create bad && mount -t ext4 -o ro /dev/mapper/bad /mnt/bad; then
        for way in buffered direct auto; do
            verdict "a disk that fails a read, --io=$way: an error that says at which offset" fails_at /mnt/bad/model $way
        done
        becomes whole
        verdict 'the disk is well again, and so is the next load' load /mnt/bad/model auto
        verdict 'a disk that stalls: the load waits, and ends when it answers' recovers
        becomes slow
        verdict 'a disk that is slow' load /mnt/bad/model auto
    else
        skip 'disks that fail' 'dmsetup is not there'
    fi
else
    skip 'file systems on a disk' 'mkfs.ext4 is not there'
fi
