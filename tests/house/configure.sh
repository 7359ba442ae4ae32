#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What configure refuses, what it does not look for, and the table that it ends with.
set -u
src=$(cd "${top_srcdir:-.}" && pwd) || exit 1
build=${top_builddir:-.}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
count=0
failed=0

# verdict WHAT COMMAND...: the command succeeds; else what configure said is shown.
verdict() {
    what=$1
    shift
    count=$((count + 1))
    if "$@" >/dev/null; then
        echo "ok $count - $what"
    else
        failed=$((failed + 1))
        echo "not ok $count - $what"
        tail -n 50 "$work/out" | sed 's/^/# /'
    fi
}

# What the build found out about this machine is not found out again.
sed -n '/^## Cache variables/,/^## Output variables/p' "$build/config.log" |
    grep -E '^[a-z0-9]+_cv_' | grep -v '^ac_cv_env_' >"$work/cache"

configure() {
    rm -rf "$work/build"
    mkdir "$work/build"
    cp "$work/cache" "$work/build/config.cache"
    (cd "$work/build" && "$src/configure" --cache-file=config.cache "$@") >"$work/out" 2>&1
}

said() {
    grep -E "$1" "$work/out"
}

refused() {
    verdict "$1" test "$status" -ne 0
    verdict "and says why" said "$2"
}

for host in i686-pc-linux-gnu armv7l-unknown-linux-gnueabihf s390x-ibm-linux-gnu powerpc64-unknown-linux-gnu; do
    configure --host=$host --cache-file=/dev/null
    status=$?
    refused "$host is refused" 'error: .*64-bit little-endian'
done
configure --host=x86_64-unknown-freebsd13.0 --cache-file=/dev/null
status=$?
refused "another system than Linux is refused" 'error: .*runs on Linux'

if [ -f "$src/config.status" ]; then
    echo "ok $((count + 1)) # SKIP the source was configured in its own folder: it cannot be configured elsewhere too"
    count=$((count + 1))
else
    # A pkg-config that knows of no OpenCL, and a compiler that finds no header of it.
    cat >"$work/pkg-config" <<'END'
#!/bin/sh
case " $* " in
*OpenCL*) exit 1 ;;
esac
exec pkg-config "$@"
END
    chmod +x "$work/pkg-config"
    configure --with-opencl PKG_CONFIG="$work/pkg-config" ac_cv_header_CL_cl_h=no
    status=$?
    refused "an OpenCL driver that is asked for must be possible" 'error: --with-opencl was asked for'
    configure --with-opencl="$work/nothing"
    status=$?
    refused "also in the folder that is named" 'error: --with-opencl was asked for'
    configure PKG_CONFIG="$work/pkg-config" ac_cv_header_CL_cl_h=no CXX="$work/nothing" BATS= PYTHON3=no
    status=$?
    verdict "without OpenCL, C++, bats and python3, configure succeeds" test $status -eq 0
    verdict "the table says that there is no OpenCL, and what would help" said '^ +OpenCL +no \(install .*ocl-icd-opencl-dev'
    verdict "that there is no C++" said '^ +C\+\+17 +no \('
    verdict "no bats" said '^ +bats +no \('
    verdict "and no python3" said '^ +python3 +no \('
    configure --without-opencl
    status=$?
    verdict "a build without OpenCL can be asked for" test $status -eq 0
    verdict "the table says so" said '^ +OpenCL +no \(--without-opencl\)'
    said '^checking .*OpenCL' >"$work/looked"
    verdict "then it is not looked for" test ! -s "$work/looked"
    configure --without-vendor-headers
    status=$?
    verdict "without any vendor's headers, configure succeeds" test $status -eq 0
    for driver in CUDA HIP; do
        verdict "$driver is built" said "^ +$driver +yes \\(no vendor's headers"
    done
    said '^checking .*headers of' >"$work/looked"
    verdict "headers of vendors are not looked for" test ! -s "$work/looked"
    for driver in cuda hip; do
        configure --with-$driver="$work/nothing"
        status=$?
        refused "a folder of $driver without its headers is refused" "error: --with-$driver was asked for"
    done
    configure --without-cuda --with-hip
    status=$?
    verdict "CUDA can be left out, and HIP asked for" test $status -eq 0
    verdict "the table says that there is no CUDA" said '^ +CUDA +no \(--without-cuda\)'
    verdict "and that there is HIP" said '^ +HIP +yes \('
fi

echo "1..$count"
[ $failed -eq 0 ]
