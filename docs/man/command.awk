# SPDX-License-Identifier: BSD-3-Clause
# usage: awk -v command=NAME -f command.awk src/cli/commands.c docs/man/distorch2.1
#
# The page of one command, of what distorch2(1) says of it: its synopsis, its section, the options that it shares with others (a
# comment before an option that stands elsewhere says who takes it too: .\" also NAME...), its JSON, and the examples that run it.

# The summary is the table's of commands.
FILENAME ~ /commands\.c$/ {
    if (index($0, "{ \"" command "\",")) {
        split($0, string, "\"")
        summary = tolower(substr(string[6], 1, 1)) substr(string[6], 2)
        sub(/\..*/, "", summary)
    }
    next
}

/^\.TH / { date = $4 }

/^\.SH / {
    section = substr($0, 5)
    gsub(/"/, "", section)
    subsection = ""
    next
}

/^\.SS / {
    subsection = substr($0, 5)
    next
}

section == "SYNOPSIS" {
    if ($0 ~ /^\.B distorch2 /)
        ours = $3 == command
    if (ours && $0 != ".br")
        synopsis = synopsis (/^\.B distorch2 / ? ".B distorch2 " command : $0) "\n"
    next
}

section == "COMMANDS" || section == "OPTIONS" {
    paragraph()
    next
}

section == "JSON" {
    json()
    next
}

section == "EXIT STATUS" { exits = exits $0 "\n" }

# An example begins with its sentence, and ends with .fi.
section == "EXAMPLES" {
    if (example == "" && $0 == ".PP")
        next
    example = example $0 "\n"
    if ($0 == ".fi") {
        if (example ~ ("\\$ distorch2 " command "[ \n]"))
            examples = examples (examples == "" ? "" : ".PP\n") example
        example = ""
    }
}

# Of a command's section: what stands before its first option describes it. Of the others: options that it takes.
function paragraph() {
    if ($0 ~ /^\.\\" also /) {
        also = " " substr($0, 10) " "
        return
    }
    if ($0 == ".TP") {
        option = 1
        shared = also
        also = ""
    } else if ($0 == ".PP")
        option = shared = ""
    if (previous != section "/" subsection) {
        previous = section "/" subsection
        if ($0 != ".TP")
            option = shared = ""
    }
    if (subsection == command && section == "COMMANDS") {
        if (option)
            own = own $0 "\n"
        else
            description = description $0 "\n"
    } else if (index(shared, " " command " "))
        taken = taken $0 "\n"
    else if (section == "OPTIONS" && subsection == "The request")
        request = request (option ? $0 "\n" : "")
    else if (section == "OPTIONS" && subsection != "")
        common[subsection] = common[subsection] $0 "\n"
}

# The block of documents, by their names; then what their keys are.
function json() {
    if ($0 == ".RS")
        block = 1
    else if ($0 == ".RE")
        block = 0
    else if (block && match($0, /^[a-z]+ /)) {
        document = substr($0, 1, RLENGTH - 1)
        documents[++count] = document
        text[document] = $0 "\n"
    } else if (block)
        text[document] = text[document] $0 "\n"
    else if ($0 == ".TP") {
        told++
    } else if (told && $0 != ".fi")
        meaning[told] = meaning[told] $0 "\n"
    else if (!count && $0 != ".nf")
        preface = preface $0 "\n"
}

# Marks a document, and those that it names outside of quotes.
function need(name, words, i, n, plain) {
    if (needed[name]++)
        return
    plain = text[name]
    gsub(/"[^"]*"/, "", plain)
    n = split(plain, words, /[^a-z]+/)
    for (i = 1; i <= n; i++)
        if (words[i] in text)
            need(words[i])
}

function print_json(i, name, head) {
    need(command)
    need("error")
    if (command == "inspect")
        need("several")
    if (taken own ~ /\\-\\-progress/)
        need("progress")
    printf ".SH JSON\n%s.nf\n.RS\n", preface
    for (i = 1; i <= count; i++)
        if (needed[documents[i]])
            printf "%s", text[documents[i]]
    print ".RE\n.fi"
    for (i = 1; i <= told; i++) {
        head = meaning[i]
        sub(/\n.*/, "", head)
        for (name in needed)
            if (needed[name] && head ~ ("[ \"]" name "( |\"|$)")) {
                printf ".TP\n%s", meaning[i]
                break
            }
    }
}

END {
    if (synopsis == "" || description == "" || summary == "") {
        print "command.awk: there is no command " command > "/dev/stderr"
        exit 1
    }
    print ".\\\" SPDX-License-" "Identifier: BSD-3-Clause"
    print ".\\\" Made of distorch2.1 by command.awk."
    printf ".TH DISTORCH2-%s 1 %s \"distorch2\" \"User commands\"\n", toupper(command), date
    printf ".SH NAME\ndistorch2-%s \\- %s\n.SH SYNOPSIS\n%s.SH DESCRIPTION\n%s", command, summary, synopsis, description
    print ".PP\nWhat a\n.I MODEL\nis, and what is common to all commands, is in\n.BR distorch2 (1)."
    print ".SH OPTIONS"
    printf "%s%s", own, taken
    if (synopsis ~ /request/)
        printf ".SS The request\nIts grammar and meaning are in\n.BR distorch2\\-allocation (7).\n%s", request
    printf ".SS The catalogue\n%s.SS General\n%s", common["The catalogue"], common["General"]
    print_json()
    printf ".SH \"EXIT STATUS\"\n%s", exits
    if (examples != "")
        printf ".SH EXAMPLES\n%s", examples
    print ".SH \"SEE ALSO\"\n.BR distorch2 (1),\n.BR distorch2\\-allocation (7)"
}
