#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Each mutant on a simulated machine, which is to catch it by the report that its patch names. The same run without the
# mutant must be clean, whatever fails in it. DT2_MUTANTS_OF=MODULE leaves the others out, as DT2_MUTANTS='session-evict-*'
# does, and where there is no CUDA runtime (DISTORCH2_SIM_CUDART=no) so does a patch whose mistake only one shows.
set -u
. "${0%/*}/../support/tap.sh"
src=${top_srcdir:-.}
build=${top_builddir:-.}
src=$(cd "$src" && pwd)
cd "$build" || exit 1
show "$work/log"

field() { # NAME
    sed -n "s/^$1: //p" "$patch"
}

# Runs a subject with the modules of a folder before ours; the report is in $work/report. A mutant may never end.
run() { # SUBJECT, FOLDER
    : >"$work/report"
    DISTORCH2_SIM_FAIL=$(field Failing) DISTORCH2_BACKEND_PATH=$2:$PWD/.libs DISTORCH2_SIM_REPORT=$work/report \
        timeout 120 "$src/tests/sim/run" "$work/slow.sim" "$1" cuda:0 \
        'cuda:0,22%;cuda:1,22%;hip:0,10%;hip:1,10%;opencl:0,22%;cpu,*' >>"$work/log" 2>&1
}

# Whether the same run is clean without a mistake; once for all patches in which nothing fails.
is_clean() {
    [ -n "$(field Failing)" ] || [ ! -f "$work/clean-$subject-$machine" ] || return 0
    run "tests/mutants/$subject" "$PWD/.libs"
    grep -q '^violations=0$' "$work/report" || return 1
    [ -n "$(field Failing)" ] || : >"$work/clean-$subject-$machine"
}

# The module or the subject with the mistake of a patch, in $work/mutant.
make_mutant() {
    mkdir "$work/mutant"
    file=$(sed -n 's/^--- a\///p' "$patch")
    name=$(basename "$file" .c)
    cp "$src/$file" "$work/mutant/$name.c"
    patch --batch --fuzz=0 "$work/mutant/$name.c" "$patch" || return 1
    "compile_$module" -o "$work/mutant/$name.o" -iquote "$src/$(dirname "$file")" "$work/mutant/$name.c" || return 1
    if [ "$module" = core ] && [ -n "$judge" ]; then
        link_subject -o "$work/mutant/judge" "$judge.o" "$work/mutant/$name.o" .libs/libdistorch2-core.a
    elif [ "$module" = core ]; then
        link_subject -o "$work/mutant/subject" "tests/mutants/$subject.o" tests/failing/work.o "$work/mutant/$name.o" \
            .libs/libdistorch2-core.a
    else
        # shellcheck disable=SC2010 # object files of ours have plain names
        others=$(ls backends/*/.libs/dt2_"$module"_la-*.o | grep -v "/dt2_${module}_la-$name.o")
        # shellcheck disable=SC2086
        link_module -o "$work/mutant/dt2-$module.so" "$work/mutant/$name.o" $others
    fi
}

for module in cuda hip opencl; do
    [ -f ".libs/dt2-$module.so" ] || skip_all "the driver $module was not built"
done
command -v patch >/dev/null || skip_all "there is no patch"
. tests/mutants/build.env

# How late streams run, so that what is done too early is seen.
delay() { # MICROSECONDS
    sed "s/^delay_us = .*/delay_us = $1/" "$src/tests/data/machines/$machine.sim" >"$work/slow.sim"
}

# Whether the test program that a patch names fails with the mutant. Without it, it runs as a test of its own.
is_judged() {
    judged=$judge
    [ "$module" != core ] || judged=$work/mutant/judge
    DT2_TEST_MODULE=$work/mutant/dt2-$module.so top_builddir=$PWD top_srcdir=$src timeout 120 "$judged" >>"$work/log" 2>&1
    grep -q '^not ok' "$work/log"
}

# Whether the mutant is caught: later and later, since on a slow machine too early may be late enough.
is_caught() {
    for us in 5000 50000 200000; do
        delay $us
        run "$1" "$work/mutant"
        grep -q "^$key=[1-9]" "$work/report" && return 0
    done
    return 1
}

wanted() {
    [ "${DT2_MUTANTS_OF:-$module}" = "$module" ] || return 1
    [ -z "$(field Runtime)" ] || [ "${DISTORCH2_SIM_CUDART:-named}" = named ]
}

for patch in "$src"/tests/mutants/${DT2_MUTANTS:-*}.patch; do
    mutant=$(basename "$patch" .patch)
    module=$(field Module)
    wanted || continue
    subject=$(field Subject)
    subject=${subject:-subject}
    machine=$(field Machine)
    machine=${machine:-small}
    key=$(field Caught)
    judge=$(field Judge)
    : >"$work/log"
    if ! make_mutant >>"$work/log" 2>&1; then
        verdict 1 "$mutant: it can be made"
    elif [ -n "$judge" ]; then
        is_judged
        verdict $? "$mutant: $judge fails"
    else
        mutated=$work/mutant/subject
        [ -f "$mutated" ] || mutated=tests/mutants/$subject
        is_caught "$mutated"
        caught=$?
        delay 5000
        is_clean
        clean=$?
        verdict $((caught + clean)) "$mutant: caught by $key; nothing without it"
    fi
    rm -rf "$work/mutant"
done
echo "# count: $((count - failed)) mutants caught"
finish
