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
