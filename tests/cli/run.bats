# SPDX-License-Identifier: BSD-3-Clause
# run: what a step costs.
load ../support/cli

setup_file()
{
    make_catalogue
}

setup()
{
    use_catalogue
}

@test "a model that lies where it computes: nothing streams" {
    run_split run tiny.safetensors --compute-device cpu --passes 2
    expect_status 0
    [[ ${lines[0]} == tiny.safetensors && $output == *'nothing streams'* ]]
    [[ $output =~ PASS\ +STREAMED\ +HITS\ +STALLS\ +STALLED\ +'WINDOW USED'\ +TIME ]]
    [ "$(printf '%s\n' "$output" | grep -cE '^ +[12] +0 B +0 +0 ')" -eq 2 ]
    run_split run tiny.safetensors --compute-device cpu --json
    json 'len(doc["passes"]) == 3 and doc["streamed_blocks"] == doc["pass_bytes"] == doc["window_bytes"] == 0'
}

@test "two placements over OpenCL devices: what streams is what lies on donors" {
    need_opencl
    for placement in 'opencl:0,40%;cpu,*|opencl:0|cpu' 'cpu,40%;opencl:0,*|cpu|opencl:0'; do
        IFS='|' read -r shares compute donor <<<"$placement"
        run_split run tiny.safetensors --compute-device "$compute" --expert-mode-allocations "$shares" --passes 4 --json
        expect_status 0
        [ -z "$errors" ]
        json "doc['compute_device'] == '$compute' and len(doc['passes']) == 4"
        json "doc['pass_bytes'] == sum(s['bytes'] for s in doc['plan']['shares'] if s['device'] == '$donor') > 0"
        json "doc['streamed_blocks'] == sum(len(s['blocks']) for s in doc['plan']['shares'] if s['device'] == '$donor')"
        json 'all(p["acquires"] == doc["streamed_blocks"] == p["hits"] + p["stalls"] for p in doc["passes"])'
        # a pass cannot have used what was not copied; some of the last one's is ahead of a pass that never came
        json 'sum(p["bytes"] for p in doc["passes"]) >= 4 * doc["pass_bytes"] - 3 * doc["window_bytes"]'
        json 'all(0 < p["window_bytes"] <= doc["window_bytes"] for p in doc["passes"])'
        run_split run tiny.safetensors --compute-device "$compute" --expert-mode-allocations "$shares"
        expect_status 0
        [[ $output == *"computing on $compute"*'blocks stream, '*'through a window of '*'a pass after the first'* ]]
    done
}

@test "the time that a pass computes goes by in it" {
    run_split run tiny.safetensors --compute-device cpu --passes 2 --step-ms 60 --json
    expect_status 0
    json 'doc["step_seconds"] == 0.06 and all(p["seconds"] >= 0.059 for p in doc["passes"])'
    run_split run tiny.safetensors --compute-device cpu --step-ms 2.5
    [[ $output == *'% of what it computes'* ]]
}

@test "on a simulated machine with cards of three makers" {
    [ -f "$top_builddir/tests/sim/lib/.libs/libdt2sim.so" ] || skip 'the simulated machine was not built'
    for shares in 'cuda:0,40%;cuda:1,30%;hip:0,*' 'hip:1,40%;cpu,*'; do
        [ -f "$top_builddir/.libs/dt2-cuda.so" ] && [ -f "$top_builddir/.libs/dt2-hip.so" ] || skip 'a driver was not built'
        export DISTORCH2_SIM_REPORT=$BATS_TEST_TMPDIR/report
        run "$top_srcdir/tests/sim/run" "$top_srcdir/tests/data/machines/mixed.sim" "$DISTORCH2" run tiny.safetensors \
            --compute-device "${shares%%,*}" --expert-mode-allocations "$shares" --passes 3 --step-ms 1 --json
        expect_status 0
        json "doc['compute_device'] == '${shares%%,*}' and all(p['hits'] + p['stalls'] > 0 for p in doc['passes'])"
        grep -x violations=0 "$DISTORCH2_SIM_REPORT"
    done
}

@test "numbers that are none, and what does not fit" {
    for words in '--passes 0' '--passes x' '--passes -1' '--step-ms -1' '--step-ms 1e3' '--step-ms .' '--step-ms 1.2.3'; do
        # shellcheck disable=SC2086
        run_split run tiny.safetensors $words
        expect_status 2
        [[ $errors == *"${words%% *}"* ]]
    done
    run_split run tiny.safetensors --compute-device cpu --budget cpu=1kb --json
    expect_status 3
    json 'doc["error"]["code"] == 3'
}

@test "Ctrl-C ends it: exit 130" {
    need_python
    run "$PYTHON3" - "$DISTORCH2" <<'PY'
import signal, subprocess, sys, time
command = [sys.argv[1], "run", "tiny.safetensors", "--compute-device", "cpu", "--passes", "1000", "--step-ms", "50"]
tool = subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
time.sleep(1.5)
tool.send_signal(signal.SIGINT)
sys.exit(tool.wait())
PY
    expect_status 130
}
