#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What the CUDA and HIP modules ask of a vendor: no library when they load, and when they open what is listed in
# backends/gpu/entries.h.
set -u
. "${0%/*}/../support/tap.sh"
list=${top_srcdir:-.}/backends/gpu/entries.h
modules=${top_builddir:-.}/.libs

names='(cuda|cu|hip|nvml)[A-Z][A-Za-z0-9_]*'

# The symbols of a list, that is of a macro, of the header: all of its names, of which HIP has the last on a line.
listed() {
    awk -v "macro=$1" '
        $0 ~ "^#define " macro "\\(" { inside = 1; next }
        inside && !/\\$/ { print; exit }
        inside' "$list" |
        sed 's|/\*.*||' | sed -n 's/.*X(\(.*\)).*/\1/p'
}

cuda_listed() {
    listed DT2_GPU_RUNTIME_ENTRIES | sed 's/.*, *\(.*\), *.*/\1/'
    listed DT2_GPU_RUNTIME_OPTIONAL_ENTRIES | sed 's/.*, *\(.*\), *.*/\1/'
    listed DT2_CUDA_DRIVER_ENTRIES
    listed DT2_CUDA_DRIVER_OPTIONAL_ENTRIES
    listed DT2_CUDA_ALONE_ENTRIES
    listed DT2_CUDA_ALONE_OPTIONAL_ENTRIES
    listed DT2_NVML_ENTRIES
}

hip_listed() {
    listed DT2_GPU_RUNTIME_ENTRIES | sed 's/.*, *//'
    listed DT2_GPU_RUNTIME_OPTIONAL_ENTRIES | sed 's/.*, *//'
    listed DT2_HIP_ENTRIES
}

# The names in a module that look like a vendor's symbols: constants, whole, as dlsym gets them.
looked_up() {
    LC_ALL=C readelf -W -p .rodata "$1" | sed -n 's/^ *\[ *[0-9a-f]*\]  *//p' | grep -xE "$names"
}

command -v readelf >/dev/null || skip_all "there is no readelf"
for name in cuda hip; do
    module=$modules/dt2-$name.so
    [ -f "$module" ] || continue
    nothing "dt2-$name.so needs no library of a vendor" \
        "$(LC_ALL=C readelf -W -d "$module" | grep NEEDED |
            grep -vE '\[(libc|ld-linux[^]]*|libdl|libm|libpthread|lib[a-z]*san)\.so')"
    "${name}_listed" | sort >"$module.listed"
    looked_up "$module" | sort -u >"$module.looked-up"
    nothing "dt2-$name.so looks up $(grep -c . "$module.looked-up") entry points, those of the list" \
        "$(diff "$module.listed" "$module.looked-up")"
    rm -f "$module.listed" "$module.looked-up"
done

# The real runtimes, where they are installed: each has what is asked of it.
installed=$(/sbin/ldconfig -p 2>/dev/null |
    sed -n 's/^.*lib\(cudart\.so\.1[1-3]\|amdhip64\.so\.[5-7]\).*=> *//p' | sort -u)
for library in $installed; do
    case $library in
    *cudart*) wanted=$(cuda_listed | grep '^cuda') ;;
    *) wanted=$(hip_listed) ;;
    esac
    has=$(LC_ALL=C readelf -W --dyn-syms "$library" | awk '$7 != "UND" { sub(/@.*/, "", $8); print $8 }')
    nothing "$library has what is asked of it" "$(printf '%s\n' "$wanted" | grep -vxF "$has")"
done

[ $count -gt 0 ] || skip_all "neither the CUDA nor the HIP driver was built"
finish
