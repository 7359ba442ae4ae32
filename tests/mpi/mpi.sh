#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# libdistorch2-mpi and distorch2-mpi, built by the compiler of MPI's that $MPICC is: jobs of two and four ranks, on nodes that are only
# said to be some. What one rank cannot do all of them say, and nobody waits for ever.
set -u
. "${0%/*}/../support/tap.sh"
: "${top_srcdir:=.}" "${top_builddir:=.}" "${MPICC:=}"
[ -n "$MPICC" ] || skip_all 'configured without MPI (--with-mpi); make check-mpi needs only that one is installed'
. "$top_srcdir/tests/mpi/build.sh"
mpirun=$(mpirun_of "$MPICC")
command -v "$mpirun" >/dev/null || skip_all "there is no $mpirun"
show "$work/said" "$work/complained"
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM OMPI_MCA_rmaps_base_oversubscribe
unset DISTORCH2_MPI_NODE DISTORCH2_SHARE_SCOPE
export LD_LIBRARY_PATH="$work:$top_builddir/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" NO_COLOR=1 COLUMNS=0

# -- building --

build_mpi "$MPICC" "$work" >"$work/said" 2>"$work/complained"
verdict $? "it builds with $("$MPICC" -show | cut -c 1-60)"
[ $failed -eq 0 ] || {
    finish
    exit
}
readelf -d "$top_builddir/.libs/libdistorch2.so" | grep NEEDED | grep -qi mpi
verdict $((!$?)) 'libdistorch2 links no MPI'
nm -D --defined-only "$work/libdistorch2-mpi.so" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' >"$work/said"
[ "$(cat "$work/said")" = dt2_mpi_file_open ]
verdict $? 'libdistorch2-mpi exports its one function'

# -- running --

# on RANKS COMMAND...: on one node. across RANKS COMMAND...: so many on each of nodes a and b.
on() {
    ranks=$1
    shift
    timeout 60 "$mpirun" -n "$ranks" "$@" >"$work/said" 2>"$work/complained" </dev/null
    status=$?
}
across() {
    ranks=$1
    shift
    timeout 60 "$mpirun" -n "$ranks" env DISTORCH2_MPI_NODE=a "$@" : -n "$ranks" env DISTORCH2_MPI_NODE=b "$@" \
        >"$work/said" 2>"$work/complained" </dev/null
    status=$?
}

# all RANKS PATTERN: so many ranks say that.
all() {
    [ "$status" -eq 0 ] && [ "$(grep -c "^rank [0-9]*: $2" "$work/said")" -eq "$1" ]
}

mkmodel() { "$top_builddir/tests/support/mkmodel" "$top_srcdir/tests/data/layouts/$1.tsv" "$2" >/dev/null; }
mkmodel tiny "$work/tiny.safetensors"
mkmodel t2iadapter_canny_sd15v2 "$work/model.safetensors"
mkdir "$work/a" "$work/b"

for ranks in 2 4; do
    on $ranks "$work/job" open "$work/tiny.safetensors"
    all $ranks '0 same, unchanged' && all $ranks '0 closed'
    verdict $? "$ranks ranks on one node: all have the file's bytes, and close it"
done
for ranks in 1 2; do
    across $ranks "$work/job" open "$work/model.safetensors"
    all $((2 * ranks)) '0 same, unchanged' && all $((2 * ranks)) '0 closed'
    verdict $? "$ranks ranks on each of two nodes, and a larger one"
done
cp "$work/tiny.safetensors" "$work/a/model.safetensors"
cp "$work/tiny.safetensors" "$work/b/model.safetensors"
across 2 "$work/job" open "$work/%n/model.safetensors"
all 4 '0 same, unchanged'
verdict $? 'each node has it under a path of its own'
mkdir "$work/whole"
cp "$work/tiny.safetensors" "$work/whole"
printf '{"weight_map":{%s}}' "$(grep -ao '"[^"]*":{"dtype"' "$work/tiny.safetensors" | sed 's/{.*/"tiny.safetensors",/' | tr -d '\n' |
    sed 's/,$//')" >"$work/whole/model.safetensors.index.json"
across 2 "$work/job" open "$work/whole/model.safetensors.index.json"
all 4 '0 same, unchanged'
verdict $? 'an index and its file'

# -- what goes wrong on one is said by all --

# fails WHAT CODE PATTERN: all four say that code, and words of it.
fails() {
    all 4 "$2 .*$3"
    verdict $? "$1: $(sed -n 's/^rank 0: -[0-9]* //p' "$work/said" | sed "s|$work||g" | cut -c 1-110)"
    all 4 '0 closed'
    verdict $? "$1: nothing is left open"
}
rm "$work/b/model.safetensors"
across 2 "$work/job" open "$work/%n/model.safetensors"
fails 'absent on one node' -4 'rank 2 on b .*no such file\|rank 2 on b .*cannot open'
cp "$work/model.safetensors" "$work/b/model.safetensors"
across 2 "$work/job" open "$work/%n/model.safetensors"
fails 'another size on one node' -1 'rank 2 on b .*bytes here, and'
sed '1,1s/control_model/kontrol_model/' "$work/tiny.safetensors" >"$work/b/model.safetensors"
across 2 "$work/job" open "$work/%n/model.safetensors"
fails 'another table on one node' -1 'rank 2 on b .*another table'
head -c 100 "$work/tiny.safetensors" >"$work/b/model.safetensors"
across 2 "$work/job" open "$work/%n/model.safetensors"
fails 'cut on one node' -1 'rank 2 on b '
echo 'not a model' >"$work/broken.safetensors"
across 2 "$work/job" open "$work/broken.safetensors"
fails 'no model at all' -1 'rank 0 on a '
across 2 env FAIL_ON=b AFTER_MB=9 "$work/job" open "$work/model.safetensors"
fails 'a read that fails in the middle' -1 'rank 2 on b .*cannot read at byte'
on 4 "$work/job" usage "$work/tiny.safetensors"
all 4 '-2 rank 1 on .*struct_size is 3'
verdict $? 'options that one rank has wrong'

across 2 "$work/job" cancel "$work/model.safetensors"
all 4 0 && [ "$(grep -c '^rank [02]: 0 told, read [0-9]* of [0-9]*$' "$work/said")" -eq 2 ] && [ "$(grep -c '^rank [13]: 0 not told' "$work/said")" -eq 2 ]
verdict $? 'who reads is told how far that is'
across 2 env CANCEL_ON=b SLOW_MB=40 "$work/job" cancel "$work/model.safetensors"
all 4 '-5 rank 2 on b .*cancelled'
verdict $? 'who is told cancels it for all'
awk '/^rank [02]: / { for (i = 1; i < NF; i++) if ($i == "read") { read += $(i + 1); total = $(i + 3) } } END { exit !(total > 0 && read < 0.95 * total) }' \
    "$work/said"
verdict $? 'and they stop reading'

# Who was killed: MPI ends the others, and nothing of the image is left.
for node in a b; do
    begun=$(date +%s)
    across 2 env KILL_ON=$node AFTER_MB=9 "$work/job" open "$work/model.safetensors"
    [ $status -ne 0 ] && [ $(($(date +%s) - begun)) -le 10 ] && ! pgrep -f "$work/job" >/dev/null
    verdict $? "the rank that reads for node $node killed in the middle: all have ended after $(($(date +%s) - begun)) s"
done
find /proc/[0-9]*/fd -lname '/memfd:distorch2-image*' 2>/dev/null >"$work/said"
verdict "$(wc -l <"$work/said")" 'no image is left'

# -- the tool --

tool=$work/distorch2-mpi
across 2 "$tool" load "$work/tiny.safetensors" --share=only --verify --compute-device cpu
[ $status -eq 0 ] && [ "$(grep -c '100.0 %.*cpu ' "$work/said")" -eq 4 ] && [ "$(grep -c ' b ' "$work/said")" -eq 2 ]
verdict $? 'distorch2-mpi load: a table with a row a rank'
across 2 "$tool" load "$work/tiny.safetensors" --json --compute-device cpu
[ $status -eq 0 ] && [ "$(grep -c '"rank":' "$work/said")" -eq 4 ] && [ "$(grep -c '"loads":' "$work/said")" -eq 4 ] &&
    { [ -z "${PYTHON3:-}" ] || "$PYTHON3" -m json.tool "$work/said" >/dev/null; }
verdict $? 'distorch2-mpi load --json: one document'
on 2 "$tool" load "$work/tiny.safetensors" --progress=json --compute-device cpu
[ $status -eq 0 ] && grep -q '"phase":"reading"' "$work/complained" && grep -q '"phase":"loading"' "$work/complained"
verdict $? 'distorch2-mpi load --progress: of reading, and of loading'
on 2 "$tool" plan "$work/tiny.safetensors" --compute-device cpu
[ $status -eq 0 ] && [ "$(grep -c 'cpu 362 KiB' "$work/said")" -eq 2 ]
verdict $? 'distorch2-mpi plan'
on 2 "$tool" load "$work/tiny.safetensors" --budget cpu=1kb --compute-device cpu
[ $status -eq 3 ] && grep -q 'rank 0 on .*does not fit' "$work/complained"
verdict $? 'what does not fit ends with status 3'
on 2 "$tool" load "$work/absent.safetensors" --compute-device cpu
[ $status -eq 4 ] && [ "$(grep -c '^distorch2: ' "$work/complained")" -eq 1 ]
verdict $? 'a file that is not there, with status 4, and is said once'
on 2 "$tool" load
[ $status -eq 2 ]
verdict $? 'no model: status 2'
on 2 "$tool" lod x
[ $status -eq 2 ] && grep -q 'no command' "$work/complained"
verdict $? 'no such command: status 2'
on 2 "$tool" --help
[ $status -eq 0 ] && [ "$(grep -c Usage "$work/said")" -eq 1 ]
verdict $? 'distorch2-mpi --help is said once'

# -- what it costs: figure 9 --

# measured HOW SHARE: "BYTES READ PSS SECONDS" of two nodes of two ranks.
measured() {
    across 2 env SLOW_MB="${SLOW_MB:-0}" "$work/job" measure "${MODEL:-$work/model.safetensors}" "$1" "$2"
    sed -n 's/^bytes \([0-9]*\) read \([0-9]*\) pss \([0-9]*\) seconds \(.*\)/\1 \2 \3 \4/p' "$work/said"
}
SLOW_MB=0
measured mpi share >"$work/figures"
awk '{ printf "# the job read %.3f of the model; memory of it on the two nodes: %.3f\n", $2 / $1, $3 / $1; exit !($2 <= 1.02 * $1 + 65536) }' "$work/figures"
verdict $? 'two nodes of two ranks read the file once'
awk '{ exit !($3 <= 2 * (1.05 * $1 + 1048576)) }' "$work/figures"
verdict $? 'each node has one copy in memory, once it has loaded'
SLOW_MB=${SLOWLY:-50}
# Where others use the processors, what is copied takes longer, and what is slow to read does not.
bar=$(awk -v n="$(nproc)" '{ print ($1 > n ? 0.8 : 0.6) }' /proc/loadavg)
together=$(measured mpi share | cut -d ' ' -f 4)
alone=$(measured alone none | cut -d ' ' -f 4)
echo "# where a rank reads $SLOW_MB MB/s: together $together s, each for itself $alone s"
awk -v x="$together" -v y="$alone" -v bar="$bar" 'BEGIN { exit !(x > 0 && x <= bar * y) }'
verdict $? "slow reads: at most $bar of the time of loads of their own"

finish
