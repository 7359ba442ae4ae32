# SPDX-License-Identifier: BSD-3-Clause
# The command line on machines with cards of several makers.
load ../support/cli

setup()
{
    for driver in cuda hip opencl; do
        [ -f "$top_builddir/.libs/dt2-$driver.so" ] || skip "the $driver driver was not built"
    done
    report=$BATS_TEST_TMPDIR/report
    machine=$BATS_TEST_TMPDIR/machine.sim
    export DISTORCH2_SIM_REPORT=$report
}

# distorch2 on a simulated machine: its name, or the path of its file; any violation fails.
simulate()
{
    local file=$1
    shift
    [ -f "$file" ] || file=$top_srcdir/tests/data/machines/$file.sim
    run bash -c '"$@" 2>"$0"' "$BATS_TEST_TMPDIR/errors" "$top_srcdir/tests/sim/run" "$file" "$DISTORCH2" "$@"
    errors=$(cat "$BATS_TEST_TMPDIR/errors")
    [ ! -s "$report" ] || reports violations=0 # there is none where no runtime was loaded
}

reports()
{
    grep -x "$1" "$report" || { sed 's/^/report: /' "$report" && false; }
}

# A card for a machine file: ID, drivers, PCI address, UUID, further lines.
card()
{
    printf '[gpu %s]\ndrivers = %s\nname = Card\nmemory = 1GiB\npci = %s\nuuid = %032x\n' "$1" "$2" "$3" "$4"
    shift 4
    printf '%s\n' "$@"
}

names='[d["name"] for d in doc["devices"] if d["kind"] == "gpu"]'
aliases='{d["name"]: d["aliases"] for d in doc["devices"] if d["aliases"] and d["kind"] == "gpu"}'

make_model()
{
    local layout=$BATS_FILE_TMPDIR/sdxl.tsv
    model=$BATS_FILE_TMPDIR/sdxl.safetensors
    # each dimension of the layout divided, so that the parts keep their proportions; by 1 it is the real one, of 2.5 GB
    [ -f "$model" ] || {
        awk -v by="${DT2_MIXED_DIVIDE:-8}" 'BEGIN { FS = OFS = "\t" } {
            n = split($3, d, ","); shape = ""
            for (i = 1; i <= n; i++)
                shape = shape (i > 1 ? "," : "") (d[i] >= 2 * by ? int(d[i] / by) : d[i])
            print $1, $2, shape
        }' "$top_srcdir/tests/data/layouts/diffusers_sdxl_canny_fp16.tsv" >"$layout"
        "$top_builddir/tests/support/mkmodel" "$layout" "$model"
    }
}

@test "devices of three makers: one row each, aliases, free memory, and no context" {
    simulate mixed devices
    expect_status 0
    [ -z "$errors" ]
    [ "$(grep -c '^[a-z]*:[0-9]  *gpu ' <<<"$output")" = 5 ]
    [ "$(grep -c 'RTX 4090' <<<"$output")" = 1 ]
    [ "$(grep -c 'RX 7900' <<<"$output")" = 1 ]
    reports contexts=0
    simulate mixed devices --json
    expect_status 0
    json "$names == ['cuda:0', 'cuda:1', 'hip:0', 'hip:1', 'opencl:0']"
    json "$aliases == {'cuda:0': ['opencl:1'], 'hip:0': ['opencl:2']}"
    json '{d["name"]: d["free_bytes"] for d in doc["devices"] if d["kind"] == "gpu"} == {
        "cuda:0": (24 << 30) - (700 << 20), "cuda:1": 16 << 30,
        "hip:0": (24 << 30) - (300 << 20), "hip:1": 16 << 30, "opencl:0": None}'
    reports contexts=0
}

@test "slices of one card are two devices, and the card beside them a third" {
    simulate mig devices --json
    expect_status 0
    json "$names == ['cuda:0', 'cuda:1', 'cuda:2'] and $aliases == {}"
    json 'doc["devices"][-3]["pci"] == doc["devices"][-2]["pci"] != doc["devices"][-1]["pci"]'
    json 'len({d["uuid"] for d in doc["devices"][-3:]}) == 3'
    json 'all(d["free_bytes"] is not None for d in doc["devices"])'
}

@test "two equal cards are two devices" {
    { card a cuda 0000:01:00.0 1 && card b cuda 0000:02:00.0 2 && card c hip 0000:03:00.0 3 &&
        card d hip 0000:04:00.0 4; } >"$machine"
    simulate "$machine" devices --json
    json "$names == ['cuda:0', 'cuda:1', 'hip:0', 'hip:1'] and $aliases == {}"
}

@test "one driver's devices are never one, whatever they say" {
    { card a cuda 0000:01:00.0 7 && card b cuda 0000:01:00.0 7; } >"$machine"
    simulate "$machine" devices --json
    json "$names == ['cuda:0', 'cuda:1'] and $aliases == {}"
    { card a opencl 0000:01:00.0 7 'platform = P' && card b opencl 0000:01:00.0 7 'platform = P'; } >"$machine"
    simulate "$machine" devices --json
    json "$names == ['opencl:0', 'opencl:1'] and $aliases == {}"
}

@test "one card by two OpenCL platforms is one device, under its maker's name" {
    # a platform's vendor is that of its first device
    { card x opencl 0000:09:00.0 9 'platform = Rusticl' 'vendor = Mesa' &&
        card a opencl 0000:01:00.0 1 'platform = Rusticl' 'vendor = Intel(R) Corporation' &&
        card b opencl 0000:01:00.0 1 'platform = Intel(R) OpenCL' 'vendor = Intel(R) Corporation'; } >"$machine"
    simulate "$machine" devices --json
    json "$names == ['opencl:0', 'opencl:2'] and $aliases == {'opencl:2': ['opencl:1']}"
}

@test "by address alone: one card on each side is one device, two slices on a side are none" {
    { card a cuda 0000:01:00.0 1 && card b opencl 0000:01:00.0 2; } >"$machine"
    simulate "$machine" devices --json
    json "$names == ['cuda:0'] and $aliases == {'cuda:0': ['opencl:0']}"
    { card a cuda 0000:01:00.0 1 'mig = yes' && card b cuda 0000:01:00.0 2 'mig = yes' &&
        card c opencl 0000:01:00.0 3; } >"$machine"
    simulate "$machine" devices --json
    json "$names == ['cuda:0', 'cuda:1', 'opencl:0'] and $aliases == {}"
}

@test "devices --measure tells whether what two cards copy directly arrives" {
    simulate liars devices --measure --json
    expect_status 0
    peers='{(d["name"], l["to"]): l["peer"] for d in doc["devices"] for l in d["links"] if l["to"] != "cpu"}'
    json "$peers == {(\"cuda:0\", \"cuda:1\"): \"broken\", (\"cuda:1\", \"cuda:0\"): \"broken\",
        (\"hip:0\", \"hip:1\"): \"broken\", (\"hip:1\", \"hip:0\"): \"broken\"}"
    json 'all(l["peer"] is None for d in doc["devices"] for l in d["links"] if l["to"] == "cpu")'
    simulate four-cuda devices --measure --json
    json "set($peers.values()) == {'ok', 'none'}"
    simulate liars devices --measure
    [[ $output == *"Copies that go directly between cuda:0 and cuda:1 do not arrive: theirs go through the host."* ]]
    rm -r "$XDG_CACHE_HOME"
    simulate liars devices --json
    json "$peers == {}"
}

@test "an alias, an address and a UUID name the card" {
    make_model
    for name in opencl:1 pci:0000:41:00.0 uuid:1c6d9d3e-5a1f-4c7b-8e0a-0123456789ab; do
        simulate mixed plan "$model" --compute-device "$name" --virtual-vram-gb 0 --json
        expect_status 0
        json 'doc["compute_device"] == "cuda:0"'
    done
}

@test "without the simulator and without a GPU: nothing but the host, and not a word" {
    run_split devices
    [[ $output != *gpu* ]] || skip 'there is a GPU'
    expect_status 0
    [ -z "$errors" ]
    OCL_ICD_VENDORS=$BATS_TEST_TMPDIR run_split devices
    expect_status 0
    [ -z "$errors" ]
    [ "$(sed '/^$/,$d' <<<"$output" | cut -d' ' -f1)" = $'NAME\ncpu' ]
}

@test "a model over cards of three makers and the host, every byte verified" {
    make_model
    simulate mixed load "$model" --compute-device cuda:0 --verify --json \
        --expert-mode-allocations 'cuda:0,30%;cuda:1,20%;hip:0,20%;opencl:0,10%;cpu,*'
    expect_status 0
    json 'doc["loads"][0]["verified_bytes"] == doc["loads"][0]["bytes"]'
    json 'doc["loads"][0]["bytes"] == doc["loads"][0]["plan"]["model"]["total_bytes"]'
    json '[d["device"] for d in doc["loads"][0]["devices"]] == ["cuda:0", "cuda:1", "hip:0", "opencl:0", "cpu"]'
    json 'all(d["bytes"] > 0 for d in doc["loads"][0]["devices"])'
    json 'doc["loads"][0]["window_verified_bytes"] > 0'
    reports contexts=4
    reports contexts.vega=0
}

@test "a load copies from pinned memory alone" {
    make_model
    simulate mixed load "$model" --compute-device cuda:0 --json \
        --expert-mode-allocations 'cuda:0,30%;cuda:1,20%;hip:0,20%;opencl:0,10%;cpu,*'
    expect_status 0
    reports copies.h2d.pageable=0
}

@test "a card alone gets all of the staging memory, two halve it, and each is fed by several readers" {
    local layout=$BATS_TEST_TMPDIR/large.tsv large=$BATS_TEST_TMPDIR/large.safetensors
    for i in $(seq 16); do printf 'block%s.weight\tU8\t33554432\n' "$i"; done >"$layout"
    "$top_builddir/tests/support/mkmodel" "$layout" "$large"
    simulate links load "$large" --compute-device cuda:0 --expert-mode-allocations 'cuda:0,*' --json
    expect_status 0
    json 'doc["loads"][0]["staging_bytes"] == 64 << 20'
    json "doc['loads'][0]['queue_depth'] >= min($(nproc), 16)"
    simulate links load "$large" --compute-device cuda:0 --expert-mode-allocations 'cuda:0,50%;hip:0,*' --json
    expect_status 0
    json 'doc["loads"][0]["staging_bytes"] == 64 << 20'
}

@test "a request opens the drivers that it names, and those that tell what its devices are" {
    make_model
    simulate mixed load "$model" --compute-device cpu --virtual-vram-gb 0 --json
    expect_status 0
    [ ! -s "$report" ] # no runtime was even loaded
    simulate mixed plan "$model" --compute-device cuda:0 --json
    expect_status 0
    run ! grep -E '^calls\.(cl|hip)' "$report"
    simulate mixed plan "$model" --compute-device opencl:0 --json # an NVIDIA card is among OpenCL's, and an AMD one
    expect_status 0
    for call in calls.clGetPlatformIDs calls.cuInit calls.hipGetDeviceCount; do
        grep "^$call=" "$report"
    done
}

@test "DISTORCH2_DRIVERS narrows what may be used, and a hint says so" {
    make_model
    DISTORCH2_DRIVERS=hip simulate mixed devices --json
    expect_status 0
    json '{d["driver"] for d in doc["devices"]} == {"host", "hip"}'
    DISTORCH2_DRIVERS=hip simulate mixed plan "$model" --compute-device cuda:0 --json # where there is no CUDA, HIP's
    expect_status 0
    json 'doc["compute_device"] == "hip:0"'
    DISTORCH2_DRIVERS=hip simulate mixed plan "$model" --compute-device opencl:0 --json
    expect_status 4
    json '"DISTORCH2_DRIVERS" in doc["error"]["suggestion"]'
}

@test "a card that is lost in the middle is named, and all is given back" {
    make_model
    simulate lost load "$model" --compute-device cuda:0 --verify --json \
        --expert-mode-allocations 'cuda:0,30%;cuda:1,30%;hip:0,*'
    expect_status 1
    json '"cuda:1" in doc["error"]["message"] and doc["loaded"] == []'
}

@test "memory that shrinks after the plan was made: does not fit, with numbers, and all is given back" {
    make_model
    sed 's/^others_grow.*/others_grow = 1000MiB/' "$top_srcdir/tests/data/machines/growing.sim" >"$machine"
    for device in cuda:0 hip:0; do
        simulate "$machine" load "$model" --compute-device $device --virtual-vram-gb 0 --reserve $device=0B --json
        echo "$device"
        expect_status 3
        json '__import__("re").search("[0-9]{6}", doc["error"]["message"]) and doc["loaded"] == []'
        json "'$device' in doc['error']['message']"
    done
}

budgets='{d["name"]: d["budgets"] for d in doc["devices"]}'
free='{d["name"]: d["free_bytes"] for d in doc["devices"]}'
total='{d["name"]: d["total_bytes"] for d in doc["devices"]}'

# apu CARVE-OUT MEMORY: a machine with one of AMD's, of which the kernel calls so much its own, and HIP has so much.
apu()
{
    card apu hip 0000:c5:00.0 7 "integrated = yes" "carveout = $1" | sed "s/^memory = .*/memory = $2/; s/0000000000000000000000000000000/000000000000000/" >"$machine"
}

@test "an APU in the host's memory: what HIP has counts, not the carve-out, and it is the host's" {
    make_model
    for carveout in 512MiB 0B; do # Strix Halo, and MI300A
        apu $carveout 110GiB
        simulate "$machine" devices --json
        expect_status 0
        json "'cpu' in $budgets['hip:0'] and $total['hip:0'] <= $total['cpu']"
        json "2**30 < $free['hip:0'] <= $free['cpu']"
        simulate "$machine" load "$model" --compute-device hip:0 --virtual-vram-gb 0 --verify --json
        expect_status 0
    done
}

@test "an APU with a carve-out that is all it has: memory of its own, which the host's total leaves out" {
    apu 96GiB 96GiB
    simulate "$machine" devices --json
    expect_status 0
    json "'cpu' not in $budgets['hip:0'] and $total['hip:0'] == 96 * 2**30 and $free['hip:0'] > 90 * 2**30"
}

@test "an integrated GPU of NVIDIA: what is free is the host's business" {
    make_model
    card spark cuda 000f:01:00.0 7 "integrated = yes" "nvml = no" "page_cache = 200GiB" | sed 's/^memory = .*/memory = 119GiB/' >"$machine"
    for flag in '' --free; do
        simulate "$machine" devices --json $flag
        expect_status 0
        json "'cpu' in $budgets['cuda:0'] and $free['cuda:0'] == $free['cpu']"
    done
    simulate "$machine" load "$model" --compute-device cuda:0 --virtual-vram-gb 0 --verify --json
    expect_status 0
}

@test "partitions of one card: HIP is asked for what the kernel does not tell" {
    { card a hip 0000:c5:00.0 7 "others = 300MiB"; card b hip 0000:c5:00.0 8; } | sed 's/^uuid = 0000000000000000/uuid = /' >"$machine"
    simulate "$machine" devices --json
    expect_status 0
    json "$free['hip:0'] == 724 * 2**20 and $free['hip:1'] == 2**30"
}
