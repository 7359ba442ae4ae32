# SPDX-License-Identifier: BSD-3-Clause
# Completion of distorch2 in bash. What there is to complete, the tool itself says: distorch2 --complete WORD...
# shellcheck shell=bash

_distorch2()
{
    local tool=$1 line=${COMP_LINE:0:COMP_POINT} cur head='' reply word kind=''
    local -a words
    COMPREPLY=()
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    cur=${words[-1]}
    # For bash a word ends at ':' and '=' too: of what holds one only what follows it is replaced.
    [[ $cur == *[:=]* && $COMP_WORDBREAKS == *[:=]* ]] && head=${cur%"${cur##*[:=]}"}
    while IFS= read -r reply; do
        case $reply in
        :files | :folders)
            kind=$reply ;;
        *)
            word=${reply%%$'\t'*}
            word=${word#"$head"}
            [[ $word == *[!A-Za-z0-9_./:,=+@%-]* ]] && word=$(printf '%q' "$word")
            [[ $word == *= ]] || word+=' '
            COMPREPLY+=("$word") ;;
        esac
    done < <("$tool" --complete "${words[@]:1}" 2>/dev/null </dev/null)
    if [[ $kind && ${#COMPREPLY[@]} -eq 0 ]]; then
        compopt -o filenames 2>/dev/null
        [[ $cur == --*=* ]] && cur=${cur#*=}
        [[ $kind == :folders ]] && kind=-d || kind=-f
        mapfile -t COMPREPLY < <(compgen "$kind" -- "$cur")
    fi
}

complete -o nospace -F _distorch2 distorch2
