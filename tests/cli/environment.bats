# SPDX-License-Identifier: BSD-3-Clause
# Requests from the environment.
load ../support/cli

setup_file()
{
    make_catalogue
}

setup()
{
    use_catalogue
}

@test "every option of a request has a variable, with the same effect" {
    # name and value, and what it makes of the plan's request or model
    while IFS='|' read -r option value expected; do
        variable=DISTORCH2_$(tr a-z- A-Z_ <<<"$option")
        echo "$variable=$value"
        run_split plan tiny.safetensors --json ${value:+"--$option=$value"}
        [ "$option" = pack ] && run_split plan tiny.safetensors --json --pack
        expect_status 0
        by_option=$output
        run env "$variable=$value" "$DISTORCH2" plan tiny.safetensors --json
        expect_status 0
        [ "$output" = "$by_option" ]
        json "doc['${expected%%:*}']['${expected#*:}"
    done <<'END'
compute-device|cpu|request:compute_device'] == 'cpu'
virtual-vram-gb|0.5|request:virtual_vram_gb'] == 0.5
donor-device|cpu|request:donor_device'] == 'cpu'
expert-mode-allocations|cpu,100%|request:expert_mode_allocations'] == 'cpu,100%'
place|*.bias=cpu|request:place'] == '*.bias=cpu'
eject-models|false|request:eject_models'] is False
reserve|cpu=1gb|request:reserve'] == {'cpu': 1 << 30}
budget|cpu=2gb|request:budget'] == {'cpu': 2 << 30}
dtype|f16|model:dtype'] == 'F16'
pack|true|request:pack'] is True
END
}

@test "no option of a request is without its variable in the manual" {
    page=$(sed 's/\\-/-/g' "$top_srcdir/docs/man/distorch2.1")
    while read -r option; do
        option=${option#--}
        [[ $page == *"DISTORCH2_$(tr a-z- A-Z_ <<<"${option%=}")"* ]]
    done < <(comm -12 <(distorch2 --complete plan -- | cut -f1 | sort) <(distorch2 --complete run -- | cut -f1 | sort) |
        comm -23 - <(distorch2 --complete devices -- | cut -f1 | sort))
}

@test "the command line wins; of limits, device by device" {
    DISTORCH2_VIRTUAL_VRAM_GB=1 run_split plan tiny.safetensors --virtual-vram-gb 2 --json
    json 'doc["request"]["virtual_vram_gb"] == 2'
    DISTORCH2_BUDGET='cpu=2gb;cpu:0=3gb' run_split plan tiny.safetensors --budget cpu=4gb --json
    json 'doc["request"]["budget"] == {"cpu": 4 << 30, "cpu:0": 3 << 30}'
    DISTORCH2_PLACE='*.bias=cpu;*.weight=cpu' run_split plan tiny.safetensors --place 'a*=cpu' --place 'b*=cpu' --json
    json 'doc["request"]["place"] == "a*=cpu;b*=cpu;*.bias=cpu;*.weight=cpu"'
    DISTORCH2_EJECT_MODELS=no run_split plan tiny.safetensors --eject-models --json
    json 'doc["request"]["eject_models"] is True'
    DISTORCH2_PACK=false run_split plan tiny.safetensors --json
    json 'doc["request"]["pack"] is False'
}

@test "an empty variable is none; other commands do not look" {
    DISTORCH2_VIRTUAL_VRAM_GB='' run_split plan tiny.safetensors --json
    expect_status 0
    json 'doc["request"]["virtual_vram_gb"] == 4'
    DISTORCH2_VIRTUAL_VRAM_GB=nonsense run_split models
    expect_status 0
    DISTORCH2_VIRTUAL_VRAM_GB=nonsense run_split plan --help
    expect_status 0
}

@test "a value that is wrong names its variable" {
    DISTORCH2_VIRTUAL_VRAM_GB=129 run_split plan tiny.safetensors
    expect_status 2
    [[ $errors == *'DISTORCH2_VIRTUAL_VRAM_GB: '* ]]
    DISTORCH2_EJECT_MODELS=maybe run_split plan tiny.safetensors
    expect_status 2
    [[ $errors == *"DISTORCH2_EJECT_MODELS: 'maybe'"*'DISTORCH2_EJECT_MODELS=true'* ]]
    DISTORCH2_RESERVE=cpu run_split load tiny.safetensors
    expect_status 2
    [[ $errors == *"DISTORCH2_RESERVE: 'cpu' is not DEVICE=SIZE"*'DISTORCH2_RESERVE=cpu=2gb'* ]]
    DISTORCH2_COMPUTE_DEVICE=cuda:99 run_split plan tiny.safetensors --json
    expect_status 4
    json '"DISTORCH2_COMPUTE_DEVICE=cuda:99" in doc["error"]["message"]'
    DISTORCH2_EXPERT_MODE_ALLOCATIONS='cpu,2' run_split load tiny.safetensors
    expect_status 2
    [[ $errors == *'DISTORCH2_EXPERT_MODE_ALLOCATIONS=cpu,2'* ]]
    # one that the command line has replaced is not blamed
    DISTORCH2_COMPUTE_DEVICE=cpu run_split plan tiny.safetensors --compute-device cuda:99
    expect_status 4
    [[ $errors != *DISTORCH2_COMPUTE_DEVICE* ]]
}

@test "plan --verbose says where each value came from" {
    DISTORCH2_COMPUTE_DEVICE=cpu DISTORCH2_RESERVE='cpu=1gb' run_split plan tiny.safetensors --reserve cpu=2gb --pack --verbose
    expect_status 0
    [[ $errors =~ compute-device\ +cpu\ +'(from DISTORCH2_COMPUTE_DEVICE)' ]]
    [[ $errors =~ reserve\ +cpu=1gb\ +'(from DISTORCH2_RESERVE)' ]]
    [[ $errors =~ reserve\ +cpu=2gb\ +'(command line)' ]]
    [[ $errors =~ pack\ +true\ +'(command line)' ]]
    [[ $errors =~ virtual-vram-gb\ +'by default' ]]
    run_split plan tiny.safetensors
    [[ $errors != *'by default'* ]]
}
