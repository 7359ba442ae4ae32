# SPDX-License-Identifier: BSD-3-Clause
# A part of init.sh: disks that read short, fail a read, stall and recover, are slow.
# shellcheck shell=sh disable=SC2154 # count
export DM_DISABLE_UDEV=1
for module in dm-mod dm-delay; do
    [ ! -f /modules/$module.ko ] || insmod /modules/$module.ko
done
mkdir -p /mnt/bad /mnt/short
disk=/dev/nvme0n1

# fails_at FILE WAY: the error says where, which is in the piece that has the bad block; and that is all that happens.
fails_at()
{
    if load "$1" "$2"; then return 1; fi
    awk '{ for (i = 1; i < NF; i++) if ($i == "byte") { at = $(i + 1) + 0 } }
         END { exit !(at <= 15001 * 4096 && at > 14999 * 4096 - 4194304) }' /out
}

# comes_short WAY: what a disk has not read is read again, and every byte arrives.
comes_short()
{
    before=$(dmesg | grep -c "error, dev $short")
    load /mnt/short/model "$1" && [ "$(dmesg | grep -c "error, dev $short")" -gt "$before" ]
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

[ ! -d /sys/block/nvme1n1 ] || short=$(grep -l 2 /sys/block/nvme*n1/device/serial | cut -d / -f 4)
if [ -n "${short:=}" ] && mount -t ext4 -o ro "/dev/$short" /mnt/short; then
    verdict 'a disk that reads short: the rest is read after it, and every byte is there' comes_short buffered
    verdict 'and it is well from then on' load /mnt/short/model auto
    umount /mnt/short
else
    skip 'a disk that reads short' 'there is none'
fi
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
