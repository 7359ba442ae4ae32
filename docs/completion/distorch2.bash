# SPDX-License-Identifier: BSD-3-Clause
# Completion of distorch2 in bash. Needs bash alone: what there is to complete, the tool itself says.
# shellcheck shell=bash

# The options of a command, those that take a value with their '='.
_distorch2_options()
{
    "$1" "$2" --help 2>/dev/null | sed -n 's/^  \(--[a-z-]*=\{0,1\}\).*/\1/p'
}

# The first column of a listing, without its title.
_distorch2_names()
{
    "$@" 2>/dev/null </dev/null | sed -e 1d -e '/^$/,$d' -e 's/  .*//'
}

# Adds those of the lines read that begin with $1, each after $2. For bash a word ends at ':' too: of a name that holds
# one only what follows it is offered.
_distorch2_offer()
{
    local begun=$1 lead=$2 name word
    while IFS= read -r name; do
        [[ $name == "$begun"* ]] || continue
        word=$lead$name
        [[ $COMP_WORDBREAKS == *:* && $lead$begun == *:* ]] && word=${word:$(_distorch2_upto_colon "$lead$begun")}
        [[ $word == *[!A-Za-z0-9_./:,=+@%-]* ]] && word=$(printf '%q' "$word")
        [[ $word == *= ]] || word+=' '
        COMPREPLY+=("$word")
    done
}

_distorch2_upto_colon()
{
    local head=${1%:*}
    echo $((${#head} + 1))
}

_distorch2()
{
    local tool=$1 line=${COMP_LINE:0:COMP_POINT} cur option='' command=${COMP_WORDS[1]} i
    local -a where=()
    COMPREPLY=()
    cur=${line##*[[:space:]]}
    if [[ $cur == --*=* ]]; then
        option=${cur%%=*} cur=${cur#*=}
    elif ((COMP_CWORD > 1)); then
        option=${line%"$cur"} option=${option%"${option##*[![:space:]]}"} option=${option##*[[:space:]]}
    fi

    if ((COMP_CWORD <= 1)); then
        _distorch2_offer "$cur" '' < <(printf '%s\n' devices models inspect plan load --help --version)
        return
    fi
    case $option in
    --compute-device)
        _distorch2_offer "$cur" '' < <(_distorch2_names "$tool" devices)
        return ;;
    --donor-device)
        local lead=''
        [[ $cur == *,* ]] && lead=${cur%,*},
        _distorch2_offer "${cur#"$lead"}" "$lead" < <(_distorch2_names "$tool" devices)
        return ;;
    --eject-models)
        _distorch2_offer "$cur" '' < <(printf '%s\n' true false)
        return ;;
    --machine | --extra-model-paths)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return ;;
    --comfyui)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return ;;
    --virtual-vram-gb | --expert-mode-allocations | --reserve | --budget | --category)
        return ;;
    esac
    if [[ $cur == -* ]]; then
        _distorch2_offer "$cur" '' < <(_distorch2_options "$tool" "$command")
        return
    fi
    case $command in
    inspect | plan | load)
        for ((i = 2; i < COMP_CWORD; i++)); do
            [[ ${COMP_WORDS[i]} == --comfyui && ${COMP_WORDS[i + 1]} == = ]] && where=(--comfyui "${COMP_WORDS[i + 2]}")
            [[ ${COMP_WORDS[i]} == --comfyui && ${COMP_WORDS[i + 1]} != = ]] && where=(--comfyui "${COMP_WORDS[i + 1]}")
        done
        _distorch2_offer "$cur" '' < <(_distorch2_names "$tool" models "${where[@]}")
        ((${#COMPREPLY[@]})) && return
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        ;;
    esac
}

complete -o nospace -F _distorch2 distorch2
