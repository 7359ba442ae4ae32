# SPDX-License-Identifier: BSD-3-Clause
# Completion of distorch2 in fish. What there is to complete, the tool itself says: distorch2 --complete WORD...

function __distorch2_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in ($words[1] --complete $words[2..-1] $current 2>/dev/null </dev/null)
        switch $line
            case :files
                __fish_complete_path (string replace -r -- '^--[^=]*=' '' $current)
            case :folders
                __fish_complete_directories (string replace -r -- '^--[^=]*=' '' $current)
            case '*'
                echo $line
        end
    end
end

complete -c distorch2 -f -a '(__distorch2_complete)'
