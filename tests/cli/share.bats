# SPDX-License-Identifier: BSD-3-Clause
# load --share, and distorch2 shared: one copy of what lies in host memory.
load ../support/cli

setup_file()
{
    make_catalogue
}

setup()
{
    use_catalogue
    export XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR/run
    mkdir -m 700 "$XDG_RUNTIME_DIR"
    holders=()
}

teardown()
{
    [ ${#holders[@]} -eq 0 ] || kill -9 "${holders[@]}" 2>/dev/null || :
}

# hold ARGUMENTS: a process that has a model, until the test ends.
hold()
{
    "$DISTORCH2" run "$@" --share=only --passes 1 --step-ms 600000 >/dev/null 2>"$BATS_TEST_TMPDIR/holder" 3>&- &
    holders+=($!)
}

# Until so many processes have a model that is filled.
wait_for_users()
{
    for _ in {1..200}; do
        run_split shared --json
        if json "sum(m['users'] for m in doc['shared']) == $1 and not any(m['filler'] for m in doc['shared'])" >/dev/null; then
            return
        fi
        sleep 0.1
    done
    cat "$BATS_TEST_TMPDIR/holder"
    return 1
}

@test "nothing is shared, and nothing is said but that" {
    run_split shared
    expect_status 0
    [ -z "$output" ] && [[ $errors == *'no process shares'* ]]
    run_split load tiny.safetensors --compute-device cpu --json
    json 'doc["loads"][0]["shared_bytes"] == doc["loads"][0]["share_users"] == 0 and not doc["loads"][0]["plan"]["shared"]'
}

@test "a second process uses what the first has filled" {
    hold tiny.safetensors --compute-device cpu
    wait_for_users 1
    run_split load tiny.safetensors --compute-device cpu --share --verify --json
    expect_status 0
    json 'doc["loads"][0]["shared_bytes"] == doc["loads"][0]["bytes"] and doc["loads"][0]["filled_bytes"] == 0'
    json 'doc["loads"][0]["share_users"] == 2 and doc["loads"][0]["plan"]["shared"]'
    run_split load tiny.safetensors --compute-device cpu --share
    [[ $output =~ SHARED\ +USERS && $output =~ total.*100\.0\ %\ +2 ]]
    run_split shared
    [[ ${lines[0]} =~ MODEL\ +SIZE\ +USERS\ +PROCESSES && ${lines[1]} =~ tiny\.safetensors.*\ 1\ +${holders[0]} ]]
    DISTORCH2_SHARE=node run_split load tiny.safetensors --compute-device cpu --json
    json 'doc["loads"][0]["filled_bytes"] == 0 and doc["loads"][0]["shared_bytes"] > 0'
    kill -9 "${holders[0]}"
    run_split shared --json
    json 'doc == {"shared": []}'
}

@test "splits that differ share what they have in common" {
    need_opencl
    hold tiny.safetensors --compute-device opencl:0 --expert-mode-allocations 'opencl:0,50%;cpu,*'
    hold tiny.safetensors --compute-device opencl:0 --expert-mode-allocations 'cpu,50%;opencl:0,*'
    wait_for_users 2
    json 'len(doc["shared"]) == 1'
    bytes=$(printf '%s' "$output" | sed -n 's/.*"bytes": \([0-9]*\).*/\1/p')
    run_split load tiny.safetensors --compute-device cpu --share=only --verify --json
    expect_status 0
    json 'doc["loads"][0]["filled_bytes"] < doc["loads"][0]["bytes"] / 4'
    json "$bytes < doc['loads'][0]['bytes'] + (2 << 20)"
}

@test "what is shared is pinned where it lies, although it can only be read" {
    [ -f "$top_builddir/tests/sim/lib/.libs/libdt2sim.so" ] || skip 'the simulated machine was not built'
    [ -f "$top_builddir/.libs/dt2-cuda.so" ] || skip 'a driver was not built'
    export DISTORCH2_SIM_REPORT=$BATS_TEST_TMPDIR/report
    for users in 0 1; do # alone, and beside one that has it
        if [ "$users" -eq 1 ]; then
            hold tiny.safetensors --compute-device cpu
            wait_for_users 1
        fi
        run "$top_srcdir/tests/sim/run" "$top_srcdir/tests/data/machines/mixed.sim" "$DISTORCH2" run tiny.safetensors \
            --compute-device cuda:0 --expert-mode-allocations 'cuda:0,40%;cpu,*' --share=only --passes 40 --step-ms 25 --json
        expect_status 0
        json 'doc["plan"]["shared"] and doc["warnings"] == []'
        grep -x violations=0 "$DISTORCH2_SIM_REPORT"
        # pinning goes on while passes run: most of their copies come from memory that is registered where it lies
        [ "$(sed -n 's/^copies.h2d.registered=//p' "$DISTORCH2_SIM_REPORT")" -gt 20 ]
    done
    run "$top_srcdir/tests/sim/run" "$top_srcdir/tests/data/machines/mixed.sim" "$DISTORCH2" load tiny.safetensors \
        --compute-device hip:0 --expert-mode-allocations 'hip:0,40%;cpu,*' --share=only --verify --json
    expect_status 0
}

@test "where nothing can be shared it is loaded, and said; or refused" {
    mkdir -m 777 "$XDG_RUNTIME_DIR/distorch2"
    chmod 777 "$XDG_RUNTIME_DIR/distorch2"
    run_split load tiny.safetensors --compute-device cpu --share
    expect_status 0
    [[ $errors == *'not shared with other processes'*'0700'* && $output != *USERS* ]]
    run_split load tiny.safetensors --compute-device cpu --share=only
    expect_status 1
    [[ $errors == *'cannot be shared'* ]]
    run_split shared
    expect_status 1
    run_split load tiny.safetensors --share=perhaps
    expect_status 2
    [[ $errors == *'none|node|only'* ]]
}
