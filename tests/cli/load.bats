# SPDX-License-Identifier: BSD-3-Clause
# load, for real.
load ../support/cli

setup_file()
{
    make_catalogue
}

setup()
{
    use_catalogue
}

@test "a load on the host: the keys, and devices that sum to the model" {
    run_split load tiny.safetensors --compute-device cpu --verify --json
    expect_status 0
    [ -z "$errors" ]
    json 'set(doc) == {"loads", "loaded"} and doc["loaded"] == ["tiny.safetensors"] and len(doc["loads"]) == 1'
    json '{"model", "plan", "ejected", "seconds", "bytes", "gbps", "staging_bytes", "devices",
           "verified_bytes"} <= set(doc["loads"][0])'
    json '{"device", "bytes", "seconds", "gbps"} <= set(doc["loads"][0]["devices"][0])'
    json 'sum(d["bytes"] for d in doc["loads"][0]["devices"]) == doc["loads"][0]["bytes"]'
    json 'doc["loads"][0]["bytes"] == doc["loads"][0]["verified_bytes"]'
    json 'doc["loads"][0]["bytes"] == doc["loads"][0]["plan"]["model"]["total_bytes"]'
}

@test "what was not verified is null" {
    run_split load tiny.safetensors --compute-device cpu --json
    expect_status 0
    json 'doc["loads"][0]["verified_bytes"] is None'
}

@test "a table for people" {
    run_split load tiny.safetensors --compute-device cpu --verify
    expect_status 0
    [[ ${lines[0]} == tiny.safetensors ]]
    [[ ${lines[1]} =~ DEVICE\ +SIZE\ +BYTES\ +SHARE\ +TIME\ +RATE\ +VERIFIED ]]
    [[ $output == *'total '*'100.0 %'*'every byte'* ]]
    run_split load tiny.safetensors --compute-device cpu
    [[ $output != *VERIFIED* ]]
}

@test "a name is the catalogue's, else the path as given" {
    run_split load "$COMFY/models/controlnet/plain.safetensors" sub/tiny2.safetensors --eject-models=false --json
    expect_status 0
    json "doc['loaded'] == ['$COMFY/models/controlnet/plain.safetensors', 'sub/tiny2.safetensors']"
    json "[l['model'] for l in doc['loads']] == doc['loaded']"
}

@test "the second model ejects the first, unless told otherwise" {
    run_split load tiny.safetensors plain.safetensors --compute-device cpu --json
    expect_status 0
    json 'doc["loads"][1]["ejected"] == ["tiny.safetensors"] and doc["loaded"] == ["plain.safetensors"]'
    for option in --eject-models=false --eject-models=0 '--eject-models no'; do
        # shellcheck disable=SC2086
        run_split load tiny.safetensors plain.safetensors --compute-device cpu --json $option
        expect_status 0
        json 'doc["loads"][1]["ejected"] == [] and doc["loaded"] == ["tiny.safetensors", "plain.safetensors"]'
    done
    run_split load tiny.safetensors plain.safetensors --compute-device cpu
    [[ $output == *ejected*tiny.safetensors* ]]
}

@test "a second model that is malformed leaves the first: exit 1" {
    run_split load tiny.safetensors broken.safetensors plain.safetensors --compute-device cpu --json
    expect_status 1
    [ -z "$errors" ]
    json 'doc["loaded"] == ["tiny.safetensors"] and len(doc["loads"]) == 1 and doc["error"]["code"] == 1'
    run_split load tiny.safetensors broken.safetensors --compute-device cpu
    expect_status 1
    [[ $output == tiny.safetensors* && $errors == distorch2:*broken.safetensors* ]]
}

@test "a first model that fails: nothing is loaded" {
    run_split load nosuch.safetensors tiny.safetensors --json
    expect_status 4
    json 'doc["loads"] == [] and doc["loaded"] == [] and doc["error"]["code"] == 4'
    run_split load tiny.safetensors --compute-device gpu:0 --json
    expect_status 4
    json 'doc["loads"] == [] and doc["error"]["suggestion"] is not None'
    run_split load tiny.safetensors --expert-mode-allocations 'cpu,2' --json
    expect_status 2
    json 'doc["error"]["message"].endswith("^")'
}

@test "a load over OpenCL devices and the host, every byte verified" {
    need_opencl
    run_split load tiny.safetensors --compute-device opencl:0 \
        --expert-mode-allocations 'opencl:0,40%;cpu,*;opencl:1,30%' --verify --json
    expect_status 0
    json '[d["device"] for d in doc["loads"][0]["devices"]] == ["opencl:0", "cpu", "opencl:1"]'
    json 'all(d["bytes"] > 0 for d in doc["loads"][0]["devices"])'
    json 'doc["loads"][0]["verified_bytes"] == doc["loads"][0]["bytes"]'
}

@test "another dtype: planned, loaded and verified as it is stored, in windows too" {
    need_opencl
    run_split plan tiny.safetensors --compute-device cpu --dtype f16 --json
    halves=$(printf '%s' "$output" | "$PYTHON3" -c 'import json, sys; print(json.load(sys.stdin)["model"]["total_bytes"])')
    run_split plan tiny.safetensors --compute-device cpu --dtype f32 --json
    expect_status 0
    json 'doc["model"]["dtype"] == "F32" and doc["model"]["total_bytes"] == 2 * '"$halves"
    run_split load tiny.safetensors --dtype=bf16 --compute-device opencl:0 \
        --expert-mode-allocations 'opencl:0,40%;cpu,*;opencl:1,30%' --verify --json
    expect_status 0
    json 'doc["loads"][0]["plan"]["model"]["dtype"] == "BF16" and doc["loads"][0]["bytes"] == '"$halves"
    json 'doc["loads"][0]["verified_bytes"] == doc["loads"][0]["bytes"] and doc["loads"][0]["window_verified_bytes"] > 0'
    run_split load tiny.safetensors --dtype f64
    expect_status 2
    [[ $errors == *bf16* ]]
}

@test "what does not fit is refused: exit 3, the budget named" {
    need_opencl
    run_split load tiny.safetensors --compute-device opencl:0 --virtual-vram-gb 0 --reserve opencl:0=1tb
    expect_status 3
    [ -z "$output" ]
    [[ $errors == *opencl:0* ]]
}

@test "Ctrl-C cancels: exit 130, and a document that says so" {
    need_python
    run "$PYTHON3" - "$DISTORCH2" <<'PY'
import json, os, signal, struct, subprocess, sys, time
# 512 MiB, all of it a hole in the file: quick to make, and not too quick to load.
size, count = 8 << 20, 64
header = json.dumps({"layer.%d.weight" % i: {"dtype": "U8", "shape": [size], "data_offsets": [i * size, (i + 1) * size]}
                     for i in range(count)}).encode()
with open("big.safetensors", "wb") as file:
    file.write(struct.pack("<Q", len(header)) + header)
    file.truncate(8 + len(header) + size * count)
command = [sys.argv[1], "load", "./big.safetensors", "--compute-device", "cpu", "--verify", "--json"]
default = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
for attempt in range(40):
    tool = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=default)
    time.sleep(0.03 * (attempt + 1))
    tool.send_signal(signal.SIGINT)
    output = tool.communicate()[0]
    if tool.returncode == 130:
        document = json.loads(output)
        sys.exit(0 if document["error"]["code"] == 130 and document["loaded"] == [] else "wrong: %r" % document)
    if tool.returncode not in (0, -signal.SIGINT): # done already; not yet listening
        sys.exit("exit %d" % tool.returncode)
sys.exit(3)
PY
    [ "$status" -ne 3 ] || skip 'this machine loads too fast to be interrupted'
    expect_status 0
}

@test "a load that takes long says so every few seconds where nobody redraws" {
    [ -f "$top_builddir/tests/sim/lib/.libs/libdt2sim.so" ] || skip 'the simulated machine was not built'
    [ -f "$top_builddir/.libs/dt2-cuda.so" ] || skip 'the CUDA driver was not built'
    printf '%s\n' 'seed = 1' '[gpu slow]' 'drivers = cuda' 'name = Slow' 'memory = 1GiB' 'link_gbps = 0.00006' >slow.sim
    run bash -c '"$@" 2>errors >output' - "$top_srcdir/tests/sim/run" slow.sim "$DISTORCH2" load tiny.safetensors \
        --compute-device cuda:0 --virtual-vram-gb 0
    [ "$status" -eq 0 ]
    [[ $(cat errors) =~ ^'loading tiny.safetensors: '.*' of 362 KiB, ' ]]
    [ "$(wc -l <errors)" -eq 1 ]
}

@test "--io: how files are read, and what was used" {
    for io in buffered direct auto; do
        run_split load tiny.safetensors --compute-device cpu --verify --io $io --json
        expect_status 0
        json 'doc["loads"][0]["io"] in ("buffered", "direct", "both")'
        json 'doc["loads"][0]["queue_depth"] > 0 and doc["loads"][0]["engine"] in ("threads", "io_uring")'
        json '(doc["loads"][0]["io"] == "buffered") == (doc["loads"][0]["direct_bytes"] == 0)'
    done
    run_split load tiny.safetensors --compute-device cpu --io buffered --json
    json 'doc["loads"][0]["io"] == "buffered"'
    run_split load tiny.safetensors --io sideways
    expect_status 2
}

@test "bench: limits, and what is reached of them" {
    run_split bench --device cpu --json
    expect_status 0
    json 'doc["device"].startswith("cpu") and doc["model"] is None and doc["measured_bytes"] is None'
    json 'doc["rows"][0]["gbps"] > 0 and all(row["limit"] is None for row in doc["rows"])'
    run_split bench tiny.safetensors --device cpu
    expect_status 0
    [[ $output == *'OF THE LIMIT'* && $output == *'a load, cold'* && $output == *'a load, warm'* ]]
    run_split bench --device cpu:77
    expect_status 4
    run_split bench nothing-of-that-name
    expect_status 4
}
