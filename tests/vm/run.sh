#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# `make check-vm`: a virtual machine of several NUMA nodes boots Debian's cloud kernel and our programs, and the kernel says where each
# page lies. Needs qemu-system-x86, linux-image-cloud-amd64, busybox-static and cpio; without them it skips, and says so. DISTORCH2_VM_PARTS: which of the
# others here; all by default, in twenty minutes without KVM.
set -eu
: "${top_srcdir:=.}" "${top_builddir:=.}" "${DISTORCH2_VM_PARTS:=nodes unbound devices shared groups systems disks}"
kernel=${DISTORCH2_VM_KERNEL:-$(find /boot -name 'vmlinuz-*cloud*' | sort | tail -n 1)}
for tool in qemu-system-x86_64 busybox cpio; do
    command -v $tool >/dev/null || { echo "1..0 # SKIP $tool is not there"; exit 0; }
done
[ -r "$kernel" ] || { echo "1..0 # SKIP no kernel: linux-image-cloud-amd64, or DISTORCH2_VM_KERNEL"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/lib64" "$root/lib"

# What each tensor is: 30 of 4 MiB.
i=0
while [ $i -lt 30 ]; do printf 'block%d.weight\tU8\t4194304\n' $i; i=$((i + 1)); done >"$work/layout.tsv"
"$top_builddir/tests/support/mkmodel" "$work/layout.tsv" "$root/model"
cp "$top_builddir/tests/vm/.libs/where" "$root/bin/" 2>/dev/null || cp "$top_builddir/tests/vm/where" "$root/bin/"
cp -L "$top_builddir/.libs/libdistorch2.so.0" "$root/lib/"
cp "$top_builddir/.libs/distorch2" "$root/bin/" 2>/dev/null || cp "$top_builddir/distorch2" "$root/bin/"

# A disk with the model on it, of which one block is to fail; what file systems need, where this machine has it.
version=${kernel##*/vmlinuz-}
mkdir -p "$root/modules" "$work/files"
for module in md/dm-mod md/dm-delay block/loop; do
    cp "/lib/modules/$version/kernel/drivers/$module.ko" "$root/modules/" 2>/dev/null || true
done
for module in overlayfs/overlay fuse/fuse; do
    cp "/lib/modules/$version/kernel/fs/$module.ko" "$root/modules/" 2>/dev/null || true
done
for tool in dmsetup bindfs; do
    path=$(PATH=$PATH:/usr/sbin:/sbin command -v $tool) && cp "$path" "$root/bin/"
done || true
PATH=$PATH:/usr/sbin:/sbin
ln "$root/model" "$work/files/model"
truncate -s 200M "$work/disk"
if mkfs.ext4 -q -F -b 4096 -d "$work/files" "$work/disk"; then
    debugfs -R 'bmap /model 15000' "$work/disk" 2>/dev/null >"$root/bad-block"
    # The same disk once more, of which this block cannot be read twice: whoever reads over it comes short, and reads the rest after it.
    sector=$(($(cat "$root/bad-block") * 8))
    short='driver=raw,node-name=short,read-only=on,file.driver=blkdebug,file.image.driver=file,file.image.locking=off'
    for i in 0 1; do
        error=file.inject-error.$i
        short=$short,$error.event=read_aio,$error.sector=$sector,$error.errno=5,$error.once=on
    done
fi
# bring_libraries PROGRAM...: all that these are linked to, but ours.
bring_libraries()
{
    for program; do
        [ ! -f "$program" ] || LD_LIBRARY_PATH=$top_builddir/.libs ldd "$program"
    done | sed -n 's/.*[ \t]\(\/[^ ]*\) (0x.*/\1/p' | grep -v "libdistorch2\|libdt2" | sort -u | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
}

bring_libraries "$root/bin/where" "$root/bin/distorch2" "$root/bin/dmsetup" "$root/bin/bindfs"
# Simulated devices, of which the machine has a real PCI device near node 2: a card, and a processor's own.
if [ -f "$top_builddir/.libs/dt2-cuda.so" ] && [ -f "$top_builddir/tests/sim/lib/.libs/libcuda.so.1" ]; then
    mkdir -p "$root/drivers" "$root/sim"
    cp -L "$top_builddir/.libs/dt2-cuda.so" "$root/drivers/"
    for library in libcuda.so.1 libdt2sim.so libdt2sim.so.0; do
        [ ! -f "$top_builddir/tests/sim/lib/.libs/$library" ] || cp -L "$top_builddir/tests/sim/lib/.libs/$library" "$root/sim/"
    done
    if [ -f "$top_builddir/.libs/dt2-opencl.so" ] && [ -f "$top_builddir/tests/sim/lib/.libs/libdt2sim-opencl.so" ]; then
        cp -L "$top_builddir/.libs/dt2-opencl.so" "$root/drivers/"
        cp -L "$top_builddir/tests/sim/lib/.libs/libdt2sim-opencl.so" "$root/sim/"
        echo /sim/libdt2sim-opencl.so >"$root/sim/simulated.icd"
        loader=$(PATH=$PATH:/sbin ldconfig -p | sed -n 's/.*libOpenCL\.so\.1 .*=> //p' | head -n 1)
        [ -z "$loader" ] || { cp -L "$loader" "$root/sim/" && bring_libraries "$loader"; }
    fi
fi
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in sh mount awk grep dmesg poweroff sed test wait cat sleep mkdir insmod losetup umount cp rm kill printf taskset; do
    ln -sf busybox "$root/bin/$applet"
done
cp "$top_srcdir/tests/vm/init.sh" "$root/init"
echo "$DISTORCH2_VM_PARTS" >"$root/parts"
for part in $DISTORCH2_VM_PARTS; do cp "$top_srcdir/tests/vm/$part.sh" "$root/"; done
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc 2>/dev/null) >"$work/initrd"

set --
for node in 0 1 2 3; do
    set -- "$@" -object "memory-backend-ram,size=512M,id=m$node" -numa "node,nodeid=$node,cpus=$node,memdev=m$node"
done
set -- "$@" -numa node,nodeid=4,cpus=4 -object memory-backend-ram,size=256M,id=m5 -numa node,nodeid=5,memdev=m5
timeout "${DISTORCH2_VM_SECONDS:-1800}" qemu-system-x86_64 -accel tcg -cpu max -smp 5 -m 2304 "$@" \
    -drive "file=$work/disk,if=none,id=disk,format=raw,file.locking=off" -device nvme,drive=disk,serial=1 ${short:+-blockdev "$short,file.image.filename=$work/disk" -device nvme,drive=short,serial=2} \
    -device pxb,id=near2,bus=pci.0,bus_nr=128,numa_node=2 -device secondary-vga,bus=near2,addr=1 -nographic -no-reboot \
    -kernel "$kernel" -initrd "$work/initrd" -append 'console=ttyS0 quiet panic=-1 no_timer_check nvme_core.max_retries=0' >"$work/console" 2>&1 || true
tr -d '\r' <"$work/console" | sed -n '/TAP-BEGIN/,/TAP-END/p' | sed '/TAP-/d' >"$work/tap"
cat "$work/tap"
grep -q '^1\.\.' "$work/tap" || { echo "not ok 1 - the machine came to the end"; tail -n 20 "$work/console" | sed 's/^/# /'; exit 1; }
! grep -q '^not ok' "$work/tap"
