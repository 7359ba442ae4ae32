# SPDX-License-Identifier: BSD-3-Clause
# What was measured is kept, used, and forgotten when the device is another one.
load ../support/cli

setup_file()
{
    make_catalogue
    XDG_CACHE_HOME=$BATS_FILE_TMPDIR/cache distorch2 devices --measure >/dev/null
}

# As if it had just been measured: that takes seconds.
measured()
{
    mkdir -p "${kept%/*}"
    cp "$BATS_FILE_TMPDIR/cache/distorch2/${kept##*/}" "$kept"
}

setup()
{
    use_catalogue
    need_python
    kept=$XDG_CACHE_HOME/distorch2/speeds-$(uname -n).json
}

# fact EXPRESSION: of the host as `devices --json` lists it now: `doc` is all of it, `link` its link.
fact()
{
    distorch2 devices --json >devices.json
    "$PYTHON3" -c '
import json, sys
doc = json.load(open("devices.json"))
links = doc["devices"][0]["links"]
link = links[0] if links else None
assert eval(sys.argv[1]), (sys.argv[1], doc["speeds"], link)' "$1"
}

# change STATEMENT: of what is kept, `doc`.
change()
{
    "$PYTHON3" -c '
import json, sys
doc = json.load(open(sys.argv[2]))
exec(sys.argv[1])
json.dump(doc, open(sys.argv[2], "w"))' "$1" "$kept"
}

@test "speeds are kept, told with their age, and used by plans" {
    fact 'doc["speeds"] is None and link is None'
    distorch2 plan tiny.safetensors --compute-device cpu | grep 'speeds are assumed'
    distorch2 devices --measure | grep 'measured just now'
    [ "$(stat -c %a "$kept")" = 600 ]
    fact 'doc["speeds"]["memory_gbps"] > 0 and link["measured_gbps"] > 0 and link["delay_us"] >= 0'
    fact 'doc["speeds"]["cold_gbps"] > 0 and doc["speeds"]["fresh_gbps"] > 0 and doc["speeds"]["touched_gbps"] > 0'
    change 'doc["speeds"]["measured_at"] -= 3 * 86400 + 60; doc["speeds"]["fresh_gbps"] = 0.001'
    distorch2 devices | grep 'measured 3 days ago'
    run_split plan tiny.safetensors --compute-device cpu --json
    json '0.3 < doc["prediction"]["load_seconds"] < 0.5 and not doc["prediction"]["assumed"]'
    [ -z "$(ls "$XDG_CACHE_HOME/distorch2" | grep -v '^speeds-.*json$')" ]
}

@test "what sessions learn of a step is kept beside the speeds, told with its age, and plans take it" {
    request=(tiny.safetensors --compute-device cpu)
    distorch2 run "${request[@]}" --step-ms 20 --passes 5 >/dev/null
    [ ! -e "$kept" ] # nobody asked for a file
    measured
    run_split plan "${request[@]}" --json
    json 'doc["prediction"]["compute_estimated"] and doc["prediction"]["learnt_at"] is None'
    distorch2 run "${request[@]}" --step-ms 20 --passes 5 >/dev/null
    run_split plan "${request[@]}" --json
    json '0.019 < doc["prediction"]["compute_seconds"] < 2 and not doc["prediction"]["compute_estimated"]'
    json 'doc["prediction"]["learnt_at"] > 1.7e9'
    run_split plan "${request[@]}" --step-ms 7 --json
    json 'doc["prediction"]["compute_seconds"] == 0.007 and doc["prediction"]["learnt_at"] is None'
    change 'assert len(doc["steps"]) == 1; doc["steps"][0].update(step_ms=1234, learnt_at=doc["steps"][0]["learnt_at"] - 3 * 86400 - 60)'
    distorch2 devices --measure >/dev/null # forgets no steps
    run_split plan "${request[@]}" --json
    json 'doc["prediction"]["compute_seconds"] == 1.234'
    # another device knows nothing of it
    change 'doc["devices"][0]["model"] = "another"'
    run_split plan "${request[@]}" --json
    json 'doc["prediction"]["compute_estimated"]'
}

@test "a device that is another one now has nothing of it" {
    measured
    change 'doc["devices"][0]["model"] = "another"'
    fact 'link is None and doc["speeds"]["memory_gbps"] > 0'
}

@test "a cache that is damaged, hostile, or cannot be written costs a line in the log at most" {
    measured
    for text in '' '{' '[]' '{"devices": 7}' '{"devices": [{"name": "cpu", "total_bytes": 1e400}]}' '{"devices":[{"name":"x","total_bytes":-1}]}'; do
        printf '%s' "$text" >"$kept"
        fact 'doc["speeds"] is None and link is None'
        run_split devices
        expect_status 0
        [ -z "$errors" ]
        run_split devices --log-level=info
        [[ $errors == *"$kept: what was measured before is not used: "* ]]
    done
    head -c 2000000 /dev/zero >"$kept"
    fact 'doc["speeds"] is None'
    rm -r "$XDG_CACHE_HOME"
    touch "$XDG_CACHE_HOME"
    run_split devices --measure --log-level=info
    expect_status 0
    [[ $errors == *'what was measured is not kept: '* ]]
}

@test "on a terminal a bar tells what is being measured" {
    on_terminal "'$DISTORCH2' devices --measure 2>&1 >/dev/null"
    [[ $output == *'measuring cpu, 1 of '* && $output == *'measuring memory and disk, '* ]]
    run_split devices --measure
    [ -z "$errors" ]
}

@test "two that measure at once leave one whole file" {
    distorch2 devices --measure >/dev/null &
    distorch2 devices --measure >/dev/null
    wait $!
    fact 'doc["speeds"]["memory_gbps"] > 0'
    [ "$(ls "$XDG_CACHE_HOME/distorch2" | wc -l)" = 1 ]
}
