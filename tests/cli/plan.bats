# SPDX-License-Identifier: BSD-3-Clause
# plan, on machines that are not here.
load ../support/cli

setup_file()
{
    make_catalogue
}

setup()
{
    use_catalogue
    cat >machine.json <<'JSON'
{"distorch2": "0", "devices": [
  {"name": "cpu", "aliases": [], "driver": "host", "kind": "host", "vendor": null, "model": null, "pci": null,
   "uuid": null, "numa_node": 0, "total_bytes": 68719476736, "free_bytes": 68719476736, "budgets": ["cpu"], "links": []},
  {"name": "cuda:0", "aliases": [], "driver": "cuda", "kind": "gpu", "vendor": null, "model": "A", "pci": null,
   "uuid": null, "numa_node": null, "total_bytes": 25769803776, "free_bytes": 25769803776, "budgets": ["cuda:0"], "links": []},
  {"name": "cuda:1", "aliases": [], "driver": "cuda", "kind": "gpu", "vendor": null, "model": "B", "pci": null,
   "uuid": null, "numa_node": null, "total_bytes": 12884901888, "free_bytes": 12884901888, "budgets": ["cuda:1"], "links": []}],
 "budgets": [
  {"name": "cpu", "total_bytes": 68719476736, "free_bytes": 68719476736},
  {"name": "cuda:0", "total_bytes": 25769803776, "free_bytes": 25769803776},
  {"name": "cuda:1", "total_bytes": 12884901888, "free_bytes": 12884901888}],
 "unusable": []}
JSON
}

plan()
{
    run_split plan tiny.safetensors --machine machine.json "$@"
}

@test "a plan for a saved machine: the keys, and shares that sum to the model" {
    plan --expert-mode-allocations 'cuda:0,50%;cuda:1,25%;cpu,*' --json
    expect_status 0
    json '{"model", "request", "compute_device", "shares", "warnings"} <= set(doc)'
    json '{"path", "total_bytes", "blocks", "fingerprint"} <= set(doc["model"])'
    json '{"device", "quota_bytes", "bytes", "cost_bytes", "absorbs", "blocks", "runs"} <= set(doc["shares"][0])'
    json 'sum(s["bytes"] for s in doc["shares"]) == doc["model"]["total_bytes"]'
    json '[s["device"] for s in doc["shares"]] == ["cuda:0", "cuda:1", "cpu"] and doc["compute_device"] == "cuda:0"'
    json 'doc["shares"][2]["quota_bytes"] is None and doc["shares"][2]["absorbs"] is True'
    json 'doc["shares"][0]["bytes"] <= doc["model"]["total_bytes"] // 2'
}

@test "the machine may come from standard input" {
    plan --json
    first=$output
    run bash -c '"$@" <machine.json' - "$DISTORCH2" plan tiny.safetensors --machine - --json
    expect_status 0
    [ "$output" = "$first" ]
}

@test "a saved machine that is none" {
    run_split plan tiny.safetensors --machine nosuch.json
    expect_status 1
    [[ $errors == *nosuch.json*'No such file'* ]]
    echo '{"devices": 3}' >bad.json
    run_split plan tiny.safetensors --machine bad.json
    expect_status 1
    [[ $errors == *bad.json* ]]
    run_split plan tiny.safetensors --machine .
    expect_status 1
}

@test "a table of shares for people" {
    plan --expert-mode-allocations 'cuda:0,50%;cpu,*'
    expect_status 0
    [[ $output == *'computing on cuda:0'* ]]
    [[ $output == *DEVICE*SIZE*SHARE*QUOTA*COST*BLOCKS* ]]
    [[ $output =~ cuda:0\ .*computes ]]
    [[ $output =~ cpu\ .*' * '.*absorbs ]]
}

@test "options mean the same before, between and after arguments" {
    plan --virtual-vram-gb=0 --json
    first=$output
    run_split plan --virtual-vram-gb 0 --json --machine=machine.json -- tiny.safetensors
    [ "$output" = "$first" ]
    run_split plan --virtual 0 --js tiny.safetensors --mach machine.json
    [ "$output" = "$first" ]
    plan --virtual-vram-gb 7 --virtual-vram-gb 0 --json
    [ "$output" = "$first" ]
}

# The column of the caret and of what it points at, in the lines of $errors.
caret_points_at()
{
    local string caret
    string=$(printf '%s\n' "$errors" | sed -n 2p)
    caret=$(printf '%s\n' "$errors" | sed -n 3p)
    [ "${caret//[ ^]/}" = '' ]
    [ "${string:${#caret}-1:${#1}}" = "$1" ]
}

@test "allocation strings that are wrong: exit 2, and a caret under the character" {
    plan --expert-mode-allocations 'cuda:0,2'
    expect_status 2
    caret_points_at 2
    [[ $errors == *2gb* ]]
    plan --expert-mode-allocations 'cuda:0,2xb;cpu,*'
    expect_status 2
    caret_points_at xb
    plan --expert-mode-allocations 'cuda:0,50%;;cpu,*'
    expect_status 2
    caret_points_at ';'
}

@test "devices that do not exist: exit 4, those that do, and the caret" {
    plan --expert-mode-allocations 'cuda:0,50%;cuda:7,*'
    expect_status 4
    caret_points_at cuda:7
    [[ $errors == *cuda:1* ]]
    plan --compute-device cudda:0
    expect_status 4
    [[ $errors == *cuda:0* ]]
    plan --compute-device cuda:9 --json
    expect_status 4
    json 'doc["error"]["code"] == 4 and "cuda:9" in doc["error"]["message"]'
}

@test "what does not fit: exit 3, the budget and the shortage" {
    plan --virtual-vram-gb 0 --reserve cuda:0=1tb
    expect_status 3
    [[ $errors == *cuda:0* ]]
    plan --virtual-vram-gb 0 --budget cuda:0=1kb --json
    expect_status 3
    json 'doc["error"]["code"] == 3 and "cuda:0" in doc["error"]["message"]'
}

@test "virtual VRAM: its range, and both ends of it" {
    for value in -1 128.1 abc '' 1e2 nan; do
        plan --virtual-vram-gb "$value"
        expect_status 2
    done
    plan --virtual-vram-gb 128 --json
    expect_status 0
    plan --virtual-vram-gb 0.0 --json
    expect_status 0
    json 'doc["shares"][0]["bytes"] == doc["model"]["total_bytes"]'
}

# An SDXL ControlNet of 2.5 GB: its header, and nothing behind it that takes room on the disk.
make_sdxl()
{
    need_python
    "$PYTHON3" - "$top_srcdir/tests/data/layouts/diffusers_sdxl_canny_fp16.tsv" sdxl.safetensors <<'PY'
import json, struct, sys
at, header = 0, {}
for line in open(sys.argv[1]):
    name, dtype, shape = line.rstrip("\n").split("\t")
    shape = [int(n) for n in shape.split(",") if n]
    size = {"F16": 2, "F32": 4}[dtype]
    for n in shape:
        size *= n
    header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
    at += size
text = json.dumps(header).encode()
with open(sys.argv[2], "wb") as out:
    out.write(struct.pack("<Q", len(text)) + text)
    out.truncate(8 + len(text) + at)
PY
}

sdxl()
{
    run_split plan sdxl.safetensors --machine machine.json --compute-device cuda:0 "$@"
}

@test "what a refusal suggests fits when it is pasted, and nothing nearer does" {
    make_sdxl
    sdxl --virtual-vram-gb 1 --budget cuda:0=1gb
    expect_status 3
    [[ $errors == *'budget cuda:0 is short by '*' bytes'* ]]
    hint=$(sed -n 's/^hint: \(--virtual-vram-gb [0-9.]*\) would fit$/\1/p' <<<"$errors")
    [[ $hint =~ \.[0-9][0-9]$ ]]
    # shellcheck disable=SC2086 # it is words
    sdxl $hint --budget cuda:0=1gb
    expect_status 0
    less=$("$PYTHON3" -c 'import sys; print("%.2f" % (float(sys.argv[1]) - 0.01))' "${hint#* }")
    sdxl --virtual-vram-gb "$less" --budget cuda:0=1gb
    expect_status 3

    sdxl --expert-mode-allocations 'cuda:0,1.5gb;cuda:1,30%;cpu,*' --budget cuda:0=1gb --budget cuda:1=256mb --json
    expect_status 3
    json '"cuda:0 is short by" in doc["error"]["message"] and "cuda:1 is short by" in doc["error"]["message"]'
    string=$(sed -n "s/.*--expert-mode-allocations '\([^']*\)' would fit.*/\1/p" <<<"$output")
    [[ $string =~ ^cuda:0,[0-9.]+gb\;cuda:1,[0-9.]+%\;cpu,\*$ ]]
    sdxl --expert-mode-allocations "$string" --budget cuda:0=1gb --budget cuda:1=256mb
    expect_status 0
}

@test "--fit takes what is suggested, and tells it" {
    make_sdxl
    sdxl --virtual-vram-gb 1 --budget cuda:0=1gb --fit --json
    expect_status 0
    json 'doc["fitted"][0]["option"] == "virtual_vram_gb" and doc["fitted"][0]["from"] == "1.000"'
    json 'float(doc["fitted"][0]["to"]) == round(doc["request"]["virtual_vram_gb"], 2)'
    json 'any("made to fit: virtual_vram_gb" in w and "short by" in w for w in doc["warnings"])'
    sdxl --virtual-vram-gb 1 --budget cuda:0=1gb --fit
    expect_status 0
    [[ $errors == *"made to fit: virtual_vram_gb '"* ]]
    sdxl --virtual-vram-gb 1 --fit --json
    expect_status 0
    json 'doc["fitted"] == [] and doc["request"]["fit"] is True'
    sdxl --virtual-vram-gb 1 --budget cuda:0=1gb --budget cuda:1=1gb --budget cpu=100mb --fit
    expect_status 3
    [[ $errors == *'no placement on this machine fits: the model needs '*' bytes, all budgets together hold 2252341248'* ]]
}

@test "the machines that come along: every worked example is as the page has it" {
    make_sdxl
    "$PYTHON3" - "$DISTORCH2" "$top_srcdir/docs/machines" <<'PY'
import json, os, re, subprocess, sys
tool, folder = sys.argv[1:]
rows = re.findall(r"^\| `(\S+\.json)` \| `(.*)` \| (.*) \|$", open(f"{folder}/README.md").read(), re.M)
assert {name for name, _, _ in rows} == {name for name in os.listdir(folder) if name.endswith(".json")}, rows
for name, options, expected in rows:
    words = [tool, "plan", "sdxl.safetensors", "--machine", f"{folder}/{name}", "--json", *options.split()]
    done = subprocess.run(words, capture_output=True, text=True)
    doc = json.loads(done.stdout)
    if "error" in doc:
        said = doc["error"]["message"] + " " + doc["error"]["suggestion"]
        assert done.returncode == 3 and all(part in said for part in expected.split("; ")), (name, options, said)
    else:
        shares = ", ".join(f"{share['device']} {share['bytes']}" for share in doc["shares"])
        assert shares == expected, (name, options, shares)
PY
}

@test "a reserve or a budget of a device that gets nothing is taken, and told" {
    plan --virtual-vram-gb 0 --reserve cuda:1=1gb --budget cuda:0=1gb --json
    expect_status 0
    json 'doc["warnings"].count("nothing is placed on cuda:1: its reserve or budget plays no part") == 1'
    json 'not any("cuda:0" in w and "plays no part" in w for w in doc["warnings"])'
}

@test "plan --compare: candidates, those that do not fit among them, and donors that do not pay" {
    make_sdxl
    cat >machine.json <<'END'
{"devices": [{"name": "cpu", "total_bytes": 100000000000},
 {"name": "cuda:0", "total_bytes": 2600000000, "links": [{"to": "cpu", "measured_gbps": 20}]},
 {"name": "hip:0", "total_bytes": 100000000000, "links": [{"to": "cpu", "measured_gbps": 2}]}]}
END
    run_split plan sdxl.safetensors --machine machine.json --virtual-vram-gb 1 --step-ms 50 --compare
    expect_status 0
    [[ ${lines[0]} == 'CANDIDATE '*FITS*'LOADS IN'*STALL*MEMORY ]]
    for what in 'as asked ' 'host only ' 'donor cpu ' 'donor hip:0 ' '--auto '; do
        [[ $output == *"$what"*yes* ]]
    done
    grep "^all on cuda:0  no .*does not fit" <<<"$output"
    [[ $output == *'hip:0 lends '*' to cuda:0 through the host: '*' a pass; cpu would take '* ]]
    run_split plan sdxl.safetensors --machine machine.json --virtual-vram-gb 1 --step-ms 50 --donor-device hip:0
    [[ $output == *'hip:0 lends '*' to cuda:0 through the host: '*' a pass; cpu would take '* ]]
    run_split plan sdxl.safetensors --machine machine.json --virtual-vram-gb 1 --step-ms 50 --donor-device cpu
    [[ $output != *' lends '* ]]
    run_split plan sdxl.safetensors --machine machine.json --virtual-vram-gb 1 --step-ms 50 --compare --json
    json 'len(doc["candidates"]) == 6 and [c["what"] for c in doc["candidates"] if not c["fits"]] == ["all on cuda:0"]'
    json 'doc["candidates"][-1]["plan"]["prediction"]["stall_seconds"] <= doc["candidates"][0]["plan"]["prediction"]["stall_seconds"]'
    run_split plan sdxl.safetensors --machine machine.json --auto --expert-mode-allocations 'cpu,*'
    expect_status 2
}
