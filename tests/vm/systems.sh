# SPDX-License-Identifier: BSD-3-Clause
# A part of init.sh: file systems.
# shellcheck shell=sh disable=SC2154 # count
for module in loop overlay fuse; do
    [ ! -f /modules/$module.ko ] || insmod /modules/$module.ko
done
mkdir -p /mnt/tmp /mnt/disk /mnt/over /mnt/fuse /mnt/loop
disk=/dev/nvme0n1

# every_way NAME FILE
every_way()
{
    for way in buffered direct auto; do
        verdict "$1: a cold load, --io=$way" load "$2" $way
    done
}

# cached_on NODE: it has most of the model in its page cache.
cached_on()
{
    awk '$3 == "Active(file):" || $3 == "Inactive(file):" { kib += $4 } END { exit kib < 102400 }' "/sys/devices/system/node/node$1/meminfo"
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
else
    skip 'file systems on a disk' 'mkfs.ext4 is not there'
fi
