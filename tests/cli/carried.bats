# SPDX-License-Identifier: BSD-3-Clause
# plan --json, carried to load --plan.
load ../support/cli

setup_file()
{
    make_catalogue
}

setup()
{
    use_catalogue
    need_python
}

# Saves a plan of tiny.safetensors.
save()
{
    distorch2 plan tiny.safetensors --compute-device cpu --json "$@" >p.json
}

# Changes the saved plan: a Python statement over `doc`.
change()
{
    "$PYTHON3" -c '
import json, sys
doc = json.load(open("p.json"))
exec(sys.argv[1])
json.dump(doc, open("p.json", "w"))' "$1"
}

refused()
{
    run_split load tiny.safetensors --plan p.json
    expect_status "$1"
    [[ $errors == *"p.json: "* || $errors == *"the plan"* ]]
    [[ $errors == *"$2"* ]]
    [ -z "$output" ]
}

@test "load --plan: exactly that placement" {
    save --reserve cpu=1mb --place '*.bias=cpu'
    run_split load tiny.safetensors --plan p.json --verify --json
    expect_status 0
    "$PYTHON3" -c '
import json, sys
planned, loaded = json.load(open("p.json")), json.loads(sys.argv[1])["loads"][0]["plan"]
keys = ("device", "bytes", "cost_bytes", "quota_bytes", "absorbs", "blocks", "runs")
assert [[s[k] for k in keys] for s in planned["shares"]] == [[s[k] for k in keys] for s in loaded["shares"]]
assert planned["devices"] == loaded["devices"] and planned["window_bytes"] == loaded["window_bytes"]
assert loaded["request"]["reserve"] == {"cpu": 1 << 20}' "$output"
    distorch2 load tiny.safetensors --plan - <p.json
    need_opencl
    distorch2 plan tiny.safetensors --compute-device opencl:0 --donor-device opencl:1,cpu --virtual-vram-gb 0.00001 --dtype f32 \
        --json >p.json
    run_split load tiny.safetensors --plan p.json --verify --json
    expect_status 0
    json 'doc["loads"][0]["plan"]["model"]["dtype"] == "F32" and len(doc["loads"][0]["plan"]["shares"]) > 1'
}

@test "load --plan: another model is refused, naming the fingerprint and all else" {
    save
    run_split load plain.safetensors --plan p.json
    expect_status 2
    [[ $errors == *'the plan is not for '*'plain.safetensors, which has the fingerprint '*' instead of '*'the bytes'* ]]
    run_split load tiny.safetensors --plan p.json --dtype f32
    expect_status 2
    [[ $errors == *'the dtype '*' instead of keep'* ]]
    change 'doc["model"]["fingerprint"] = "0" * 32'
    refused 2 'instead of 00000000000000000000000000000000'
}

@test "load --plan: other devices are refused, naming each" {
    save
    change 'doc["devices"] += [{"name": "cuda:7", "model": "X", "pci": None, "uuid": None, "total_bytes": 5}]'
    refused 2 'cuda:7 is not there'
    need_opencl
    distorch2 plan tiny.safetensors --compute-device opencl:0 --virtual-vram-gb 0 --json >p.json
    change 'd = [d for d in doc["devices"] if d["name"] == "opencl:0"][0]; d["total_bytes"] += 1; d["model"] = "another"'
    refused 2 'opencl:0 has the model '
    [[ $errors == *'instead of another'*'opencl:0 has '*' bytes instead of '* ]]
}

@test "load --plan: a budget that no longer holds it is refused with its bytes" {
    save
    change 'doc["request"]["budget"] = {"cpu": 5}'
    refused 3 'budget cpu is short by'
}

@test "load --plan: what is no plan is refused in words" {
    printf 'no plan' >p.json
    refused 1 'line 1, column '
    save
    for statement in 'doc["shares"] = 5' 'doc["shares"][0]["blocks"] = [5]' 'doc["shares"][0]["blocks"] *= 2' \
        'doc["shares"][0]["blocks"].pop()' 'doc["shares"][0]["bytes"] = -1' 'doc["shares"][0]["device"] = None' \
        'del doc["model"]' 'doc["request"]["reserve"] = {"cpu": "x"}' 'doc["compute_device"] = "a\0b"' 'del doc["devices"]' \
        'doc["request"]["alignment_bytes"] = 1 << 40'; do
        save
        change "$statement"
        run_split load tiny.safetensors --plan p.json
        [[ $status -eq 1 || $status -eq 2 ]]
        [[ $errors == *'p.json: '* ]]
    done
    run_split load tiny.safetensors --plan nosuch.json
    expect_status 1
    [[ $errors == *'nosuch.json: '*'distorch2 plan MODEL --json'* ]]
}

@test "load --plan: one model, and no request beside it" {
    save
    run_split load tiny.safetensors plain.safetensors --plan p.json
    expect_status 2
    run_split load tiny.safetensors --plan p.json --virtual-vram-gb 1
    expect_status 2
    [[ $errors == *'--virtual-vram-gb and --plan'* ]]
    DISTORCH2_VIRTUAL_VRAM_GB=1 distorch2 load tiny.safetensors --plan p.json
}
