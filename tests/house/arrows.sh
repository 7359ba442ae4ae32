#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Walks every #include of the sources and fails on an arrow that the architecture does not allow (docs/architecture.md).
set -u
. "${0%/*}/../support/tap.sh"
cd "${top_srcdir:-.}" || exit 1

# Lines "file<TAB>header" of all includes below the folders given, "system" ones in <>, own ones in "".
includes() {
    find "$@" -name '*.[ch]' | sort | while IFS= read -r file; do
        sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*\([<"][^>"]*[>"]\).*/\1/p' "$file" | sed "s|^|$file	|"
    done
}

# room ROOM ALLOWED...: the quoted includes of src/ROOM stay within the rooms allowed.
room() {
    name=$1
    shift
    allowed=$(printf '%s/|' "$@")
    nothing "src/$name includes only $*" \
        "$(includes "src/$name" | grep '	"' | grep -vE "	\"(${allowed%|})")"
}

room base base
room machine machine base
room formats formats base
room catalog catalog base
room ahead ahead base
room plan plan ahead formats machine base
room load load share plan formats machine base
room share share base
room model model share load plan formats machine base
room stream stream ahead model share load plan formats machine base

# front: the headers of src/formats itself, which every reader sees.
front='	"formats/[a-z_]*\.h"'
for reader in gguf pytorch safetensors; do
    nothing "src/formats/$reader includes the formats' front, json, base and itself alone" \
        "$(includes src/formats/$reader | grep '	"' | grep -vE "$front|	\"(formats/$reader/|formats/json/|base/)")"
done
nothing "src/formats/convert includes base and itself alone" \
    "$(includes src/formats/convert | grep '	"' | grep -vE '	"(formats/convert/|base/)')"
nothing "src/formats/json includes base and itself alone" \
    "$(includes src/formats/json | grep '	"' | grep -vE '	"(formats/json/|base/)')"
nothing "the formats' front includes no reader's header" \
    "$(includes src/formats | grep -v '^src/formats/[a-z]*/' | grep -E '	"formats/(gguf|pytorch|safetensors)/')"

nothing "mpi includes the public headers, itself, and in its tool the tool's own" \
    "$(includes mpi | grep -E '	("|<distorch2)' | grep -vE '	(<distorch2-mpi\.h>|"(image|job|ranks)\.h")' | grep -vE '^mpi/(tool|ranks)\.[ch]	"cli/')"
nothing "mpi.h is included by what is built with MPI alone" \
    "$(includes src backends include mpi | grep -E '	[<"]mpi\.h' | grep -v '^include/distorch2-mpi\.h	')"
nothing "src/cli includes the public header and itself alone" \
    "$(includes src/cli | grep -E '	("|<distorch2)' | grep -vE '	("cli/|<distorch2\.h>)')"
nothing "a driver includes the contract, and nothing else of ours" \
    "$(includes backends | grep -E '	("|<distorch2)' |
        awk -F'\t' '{ split($1, part, "/"); own = "\"" part[2] "/"; if (index($2, own) != 1 && $2 !~ /^"[^\/]*"$/ && $2 != "<distorch2/backend.h>") print }')"
nothing "backend.h is included by the machine and the rooms that open devices alone, never by the tool" \
    "$(includes src/base src/formats src/catalog src/plan src/cli | grep 'distorch2/backend.h')"
nothing "hwloc.h is included in src/machine only" \
    "$(includes src backends include | grep -E '	[<"]hwloc' | grep -v '^src/machine/')"
nothing "yaml.h is included in src/catalog only" \
    "$(includes src backends include | grep -E '	[<"]yaml' | grep -v '^src/catalog/')"
nothing "cairo is included in src/cli/picture/cairo.c only" \
    "$(includes src backends include | grep -E '	[<"]cairo' | grep -v '^src/cli/picture/cairo\.c')"
nothing "no vendor header in src or include" \
    "$(includes src include | grep -E '	[<"](CL/|cuda|hip/|nvml|level_zero|ze_)')"
nothing "CUDA and HIP are built without a header of their vendors'" \
    "$(includes backends | grep -E '	<(cuda|hip/|nvml)')"
nothing "public headers include one another and the C library alone" \
    "$(includes include | grep -vE '^include/distorch2-mpi\.h	<(distorch2|mpi)\.h>' | grep -vE '	<(distorch2/[a-z]+\.h|std(bool|def|int|arg)\.h)>')"
nothing "the library calls neither abort nor exit, and prints nothing" \
    "$(grep -nE '(^|[^_[:alnum:]])(abort|exit|_exit|printf|puts|perror|vprintf)[[:space:]]*\(' -r src backends --include='*.c' |
        grep -v '^src/cli/' | grep -vE '^[^:]*:[0-9]*:[[:space:]]*(/?\*|//)' |
        grep -v '^src/machine/probe\.c:[0-9]*:    _exit(CAME_BACK);$')" # of a child process that it has made
nothing "the heap is reached through base/alloc.h alone" \
    "$(grep -nE '(^|[^_[:alnum:]])(malloc|calloc|realloc|strdup|strndup|asprintf)[[:space:]]*\(' -r src backends --include='*.c' |
        grep -vE '^src/(cli/|base/alloc\.c)')"
nothing "every source names its licence in its first two lines" \
    "$(find src backends include mpi tests m4 -name '*.[ch]' -o -name '*.sh' -o -name '*.bats' -o -name '*.m4' -o -name '*.mk' |
        grep -vE '/m4/(lt|libtool)|^m4/(lt|libtool)' | while IFS= read -r file; do
            head -n 2 "$file" | grep -q 'SPDX-License-''Identifier: BSD-3-Clause' || echo "$file"
        done)"
nothing "make, which makes X of X.sh by a rule of its own, writes over no file" \
    "$(find src backends tests packaging python -name '*.sh' | while IFS= read -r file; do
        [ ! -f "${file%.sh}" ] || echo "${file%.sh}"
    done)"

finish
