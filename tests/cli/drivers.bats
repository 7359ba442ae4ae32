# SPDX-License-Identifier: BSD-3-Clause
# Drivers that end the process that opens them, and drivers that nobody asks for.
load ../support/cli

setup()
{
    harmful=$top_builddir/tests/unit/harmful/.libs
    [ -f "$harmful/dt2-aborts.so" ] || skip 'the modules that do harm were not built'
    export DISTORCH2_BACKEND_PATH=$harmful
}

@test "a runtime that aborts is named with its signal, and the rest is listed" {
    run_split devices
    expect_status 0
    [[ $output == *$'\ncpu '* ]]
    [[ $output == *'driver aborts: opening it in a process of its own ends the process with signal 6'* ]]
    [[ $output == *'driver exits: '*'with status 0'* ]]
    [[ $output == *DISTORCH2_DRIVERS* ]]
    run_split devices --json
    expect_status 0
    json '{u["model"] for u in doc["unusable"]} == {"driver aborts", "driver exits"}'
    DISTORCH2_DRIVERS=none run_split devices --json
    expect_status 0
    json 'doc["unusable"] == []'
}

@test "asked for by name, a device of a driver that aborts is refused with the reason" {
    make_catalogue
    use_catalogue
    run_split plan tiny.safetensors --compute-device aborts:0
    expect_status 4
    [[ $errors == *"no device 'aborts:0'"*'signal 6'*'registered more than once'* ]]
}

@test "a request for host memory opens no driver" {
    make_catalogue
    use_catalogue
    run_split load tiny.safetensors --compute-device cpu --verify
    expect_status 0
    [[ $errors != *aborts* ]]
}

# icds TEXT: a folder of one driver of OpenCL, whose file has this text.
icds()
{
    export DISTORCH2_BACKEND_PATH=$top_builddir/.libs DISTORCH2_DRIVERS=opencl OCL_ICD_VENDORS=$BATS_TEST_TMPDIR/icds
    [ -f "$DISTORCH2_BACKEND_PATH/dt2-opencl.so" ] || skip 'built without OpenCL'
    mkdir -p "$OCL_ICD_VENDORS"
    printf '%s\n' "$1" >"$OCL_ICD_VENDORS/x.icd"
    run_split devices --log-level debug
    [[ $errors != *'no OpenCL ICD loader'* ]] || skip 'there is no ICD loader'
}

# named REASON: every way to name a device of the driver is refused with the reason.
named()
{
    for request in '--compute-device opencl:0' '--compute-device cpu --donor-device opencl:0 --virtual-vram-gb 1' \
        '--compute-device cpu --expert-mode-allocations cpu,50%;opencl:0,*' \
        '--compute-device cpu --reserve opencl:0=1G' '--compute-device cpu --budget opencl:0=1G'; do
        for command in plan load run; do
            # shellcheck disable=SC2086
            run_split $command tiny.safetensors $request
            expect_status 4
            [[ $errors == *"opencl:0"*'hint: the driver opencl has no device: no OpenCL platform: '*"$1"* ]]
        done
    done
    run_split plan tiny.safetensors --compute-device opencl:0 --json
    json "'$1' in doc['error']['suggestion']"
}

@test "a driver that loads and finds nothing says why: among what is unusable, and wherever a device of it is named" {
    make_catalogue
    use_catalogue
    while IFS='|' read -r text reason; do
        icds "$text"
        run_split devices
        expect_status 0
        [ -z "$errors" ]
        [[ $output == *'driver opencl: no OpenCL platform: '*"$reason"* ]]
        run_split devices --json
        json "[u for u in doc['unusable'] if u['model'] == 'driver opencl' and '$reason' in u['reason'] and u['help']]"
        named "$reason"
    done <<'END'
libnosuchdriver.so.1|x.icd names libnosuchdriver.so.1, which cannot be loaded
libm.so.6|x.icd names libm.so.6, which is no OpenCL driver
END
    rm "$OCL_ICD_VENDORS/x.icd"
    run_split devices
    [[ $output == *"there is no file NAME.icd in $OCL_ICD_VENDORS"* ]]
}

@test "a module that is not installed is said where a device of it is named" {
    make_catalogue
    use_catalogue
    mkdir -p none
    DISTORCH2_BACKEND_PATH=$PWD/none run_split plan tiny.safetensors --compute-device cuda:0
    expect_status 4
    [[ $errors == *'dt2-cuda.so is not installed'* ]]
    DISTORCH2_BACKEND_PATH=$PWD/none run_split plan tiny.safetensors --compute-device gpu0
    expect_status 4
    [[ $errors != *'.so'* ]]
}
