# SPDX-License-Identifier: BSD-3-Clause
# A part of init.sh: devices near a node.
# shellcheck shell=sh disable=SC2154 # count
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
    if [ -f /drivers/dt2-opencl.so ] && [ -f /sim/libOpenCL.so.1 ]; then
        sed -i 's/cuda/opencl/; s/link_gbps/integrated = yes\nlink_gbps/' /card.sim
        OCL_ICD_VENDORS=/sim card /model 'opencl:0,*' 1 >/out 2>&1
        verdict 'what is wrapped for a device near node 2 that shares memory lies there, every page' only wished 2
        verdict 'and that is all of the model' awk '$1 == "wished" { good = $3 >= 30720 } END { exit !good }' /out
    else
        count=$((count + 1)) && echo "ok $count - what is wrapped for a device # SKIP no simulated OpenCL"
    fi
else
    count=$((count + 1)) && echo "ok $count - a card near node 2 # SKIP no simulator, or no PCI device there"
fi
