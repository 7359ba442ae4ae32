#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What configure refuses, what it does not look for, and the table that it ends with.
set -u
. "${0%/*}/../support/tap.sh"
src=$(cd "${top_srcdir:-.}" && pwd) || exit 1
build=${top_builddir:-.}
show "$work/said" "$work/out"

# What the build found out about this machine is not found out again.
sed -n '/^## Cache variables/,/^## Output variables/p' "$build/config.log" |
    grep -E '^[a-z0-9]+_cv_' | grep -v '^ac_cv_env_' >"$work/cache"

folder=$work/build
configure() {
    rm -rf "$folder"
    mkdir "$folder"
    cp "$work/cache" "$folder/config.cache"
    (cd "$folder" && "$src/configure" --cache-file=config.cache "$@") >"$work/said" 2>&1
}

said() {
    grep -E "$1" "$work/said"
}

refused() {
    check "$1" test "$status" -ne 0
    check "and says why" said "$2"
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
    skip "what configure says" "the source was configured in its own folder: it cannot be configured elsewhere too"
else
    # A pkg-config that knows of no OpenCL, and a compiler that finds no header of it.
    cat >"$work/pkg-config" <<'END'
#!/bin/sh
case " $* " in
*OpenCL*) exit 1 ;;
esac
exec pkg-config "$@"
END
    sed 's/OpenCL/jansson/' "$work/pkg-config" >"$work/no-jansson"
    chmod +x "$work/pkg-config" "$work/no-jansson"
    configure --with-opencl PKG_CONFIG="$work/pkg-config" ac_cv_header_CL_cl_h=no
    status=$?
    refused "an OpenCL driver that is asked for must be possible" 'error: --with-opencl was asked for'
    configure --with-opencl="$work/nothing"
    status=$?
    refused "also in the folder that is named" 'error: --with-opencl was asked for'
    configure PKG_CONFIG="$work/pkg-config" ac_cv_header_CL_cl_h=no CXX="$work/nothing" BATS= PYTHON3=no
    status=$?
    check "without OpenCL, C++, bats and python3, configure succeeds" test $status -eq 0
    check "the table says that there is no OpenCL, and what would help" said '^ +OpenCL +no \(install .*ocl-icd-opencl-dev'
    check "that there is no C++" said '^ +C\+\+17 +no \('
    check "no bats" said '^ +bats +no \('
    check "and no python3" said '^ +python3 +no \('
    for option in --with-hwlok=/usr --enable-frobnication --disable-shared --without-yaml --with-hwloc="$work/nothing" \
        --with-cuda="$work/nothing" --with-hip="$work/nothing"; do
        configure "$option"
        status=$?
        refused "$option is refused" "error: .*${option%%=*}"
    done

    folder="$work/with spaces"
    configure
    status=$?
    refused "a folder with spaces in its path is refused" 'error: there are spaces in the path of .*with spaces'
    configure --disable-tests
    status=$?
    check "but for who wants no tests" test $status -eq 0
    env -u MAKEFLAGS -u MAKELEVEL make -C "$folder" check >"$work/said" 2>&1
    status=$?
    refused "and then has none" 'configured with --disable-tests'
    folder=$work/build

    # As a distribution does it: nothing that only happens to be here, and options of its own that are not ours.
    configure --without-opencl --without-vendor-headers --prefix=/usr --with-hwlok --disable-option-checking
    status=$?
    check "a build without OpenCL can be asked for, and that unknown options be passed over" test $status -eq 0
    check "the table says that there is no OpenCL" said '^ +OpenCL +no \(--without-opencl\)'
    said '^checking .*(OpenCL|headers of)' >"$work/looked"
    check "it is not looked for, nor are headers of vendors" test ! -s "$work/looked"
    for driver in CUDA HIP; do
        check "$driver is built without" said "^ +$driver +yes \\(no vendor's headers"
    done
    check "in /usr nothing says where the library is" said '^ +prefix .* rpath no'
    grep -n 'rpath,' "$work/build/distorch2.pc" >"$work/looked"
    check "nor does distorch2.pc" test ! -s "$work/looked"

    # As somebody without privileges does it, whose libraries are wherever.
    mkdir -p "$work/libraries/lib"
    ln -s "$(pkg-config --variable=includedir jansson)" "$work/libraries/include"
    ln -s "$(pkg-config --variable=libdir jansson)"/libjansson.* "$work/libraries/lib"
    configure --with-jansson="$work/libraries" PKG_CONFIG="$work/no-jansson" --without-cuda --with-hip --prefix="$work/home"
    status=$?
    check "a library that pkg-config does not know is taken from the folder that is named" test $status -eq 0
    check "the build looks there" grep -qF -- "-I$work/libraries/include" "$work/build/Makefile"
    check "CUDA can be left out" said '^ +CUDA +no \(--without-cuda\)'
    check "and HIP asked for" said '^ +HIP +yes \('
    check "outside /usr the tool says where the library is" said '^ +prefix .* rpath yes'
    check "and so does distorch2.pc" grep -q 'rpath,' "$work/build/distorch2.pc"
    configure --disable-rpath --prefix="$work/home"
    check "unless that is not wanted" said '^ +prefix .* rpath no'
    check "then libtool does not either" grep -qx 'hardcode_libdir_flag_spec=""' "$work/build/libtool"
fi

finish
