#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs the blocks of docs/cluster.md on a cluster of Slurm's with two nodes: munged, slurmctld, and two slurmd with a /dev/shm of
# their own each, all on this machine and loopback. What it starts it stops, and what it cannot have it says.
set -u
. "${0%/*}/../support/tap.sh"
: "${top_srcdir:=.}" "${top_builddir:=.}"
page=$top_srcdir/docs/cluster.md
. "$top_srcdir/tests/mpi/build.sh"
place=$work
show "$place/said"
started=''

tell() {
    sed 's/^/#   /' "$1"
}

# The daemons end by the numbers under which they were started, the last one first.
stop() {
    for daemon in $started; do
        kill "$daemon" 2>/dev/null
    done
    for daemon in $started; do
        for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
            kill -0 "$daemon" 2>/dev/null || break
            sleep 0.25
        done
        kill -9 "$daemon" 2>/dev/null
    done
    started=''
    rm -rf "$place"
}

# daemon LOG COMMAND...
daemon() {
    log=$place/log/$1
    shift
    "$@" >"$log" 2>&1 </dev/null &
    started="$! $started"
}

# -- what there is --

[ "$(id -u)" = 0 ] || skip_all 'a cluster can be made by root alone: its daemons run jobs, and mount'
for program in munged slurmctld slurmd srun salloc sbcast unshare; do
    command -v "$program" >/dev/null || skip_all "there is no $program (Debian: slurm-wlm, munge, util-linux)"
done
unshare -m sh -c 'mount --make-rprivate / && mount -t tmpfs tmpfs /dev/shm' 2>/dev/null || skip_all 'nothing can be mounted here'

# -- the cluster --

trap stop EXIT
trap 'exit 1' INT TERM HUP
mkdir -m 700 "$place/munge"
mkdir "$place/state" "$place/spool" "$place/log" "$place/work" "$place/bin"
name=$(hostname -s)
port=$((20000 + $$ % 10000))
dd if=/dev/urandom of="$place/munge/key" bs=1024 count=1 2>/dev/null
chmod 400 "$place/munge/key"
cat >"$place/slurm.conf" <<END
ClusterName=made
SlurmctldHost=$name(127.0.0.1)
SlurmctldPort=$port
AuthType=auth/munge
AuthInfo=socket=$place/munge/socket
CredType=cred/munge
SlurmUser=root
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool/%n
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
NodeName=node1 NodeHostname=$name NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=8
NodeName=node2 NodeHostname=$name NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=8
PartitionName=all Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
END
SLURM_CONF=$place/slurm.conf
export SLURM_CONF
daemon munged munged --foreground --force --key-file="$place/munge/key" --socket="$place/munge/socket" \
    --pid-file="$place/munge/pid" --log-file="$place/log/munge" --seed-file="$place/munge/seed"
daemon slurmctld slurmctld -D -f "$SLURM_CONF"
for node in node1 node2; do
    # shellcheck disable=SC2016
    daemon "$node" unshare -m sh -c \
        'mount --make-rprivate / && mount -t tmpfs tmpfs /dev/shm && exec slurmd -D -N "$1" -f "$2"' sh "$node" "$SLURM_CONF"
done
up=1
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
    [ "$(sinfo -h -t idle -o %D 2>/dev/null)" = 2 ] && up=0 && break
    sleep 1
done
verdict $up 'a cluster of two nodes is up'
if [ $up -ne 0 ]; then
    for log in "$place"/log/*; do
        echo "# $log"
        tail -n 5 "$log" | sed 's/^/#   /'
    done
    exit 1
fi

# -- the page's blocks --

cat >"$place/bin/distorch2" <<END
#!/bin/sh
exec '$top_builddir/distorch2' "\$@"
END
chmod +x "$place/bin/distorch2"
PATH=$place/bin:$PATH
unset XDG_RUNTIME_DIR DISTORCH2_SHARE_SCOPE
export PATH
cd "$place/work" || exit 1
"$top_builddir/tests/support/mkmodel" "$top_srcdir/tests/data/layouts/tiny.tsv" control.safetensors >/dev/null || exit 1
bytes=$(distorch2 plan control.safetensors --compute-device cpu --json | sed -n 's/.*"total_bytes": \([0-9]*\).*/\1/p' | head -n 1)

awk -v place="$place" '/^```sh$/ { block++; inside = 1; next } /^```$/ { inside = 0 }
    inside { print > (place "/block-" block) }' "$page"

# run NUMBER: a block, as it stands; its output is in $place/said.
run() {
    timeout 120 sh -e "$place/block-$1" >"$place/said" 2>"$place/complained" </dev/null
    status=$?
    verdict $status "block $1 of the page: $(grep -m 1 -o 'sbcast\|distorch2-mpi\|mpirun\|distorch2 [a-z]*' "$place/block-$1" | head -n 1)"
    [ $status -eq 0 ] || tell "$place/complained"
}

run 1
[ -s node.json ] && grep -q '"shares"\|cpu' "$place/said"
verdict $? 'the plan for the compute node was printed on the login node'
run 2
[ "$(grep -c '^  total' "$place/said")" -eq 4 ]
verdict $? 'four ranks loaded'
run 3
tell "$place/said"
[ "$(awk '/control/ { print $4 }' "$place/said")" = 4 ] && [ "$(grep -c control "$place/said")" -eq 1 ]
verdict $? 'four processes share one copy'
run 4
[ "$(grep -c 'total.*every byte' "$place/said")" -eq 4 ] && ! grep -q 'not shared' "$place/complained"
verdict $? 'sbcast to two nodes: four ranks loaded and verified'
[ "$(srun -N2 --ntasks-per-node=1 sh -c 'ls /dev/shm/distorch2-0 | grep -c segment; ls /dev/shm | grep -c control' | tr -d '\n')" = 0000 ]
verdict $? 'nothing is left on either node'
[ ! -e /dev/shm/control.safetensors ]
verdict $? 'and nothing was here'

# Each rank filled a part; all of them together one copy a node, where they overlapped.
cat >counted.sh <<'END'
srun -n4 sh -c 'distorch2 run control.safetensors --share=only --compute-device cpu --passes 1 --step-ms 3000 --json >run.$SLURM_PROCID'
END
salloc -N1 -n4 sh counted.sh >/dev/null 2>&1 && [ "$(grep -l '"shared": true' run.* | wc -l)" -eq 4 ]
verdict $? "four ranks of ${bytes:-?} bytes share in one job"

# -- launchers of MPI: those that there are --

found=0
for launcher in mpirun.openmpi mpirun.mpich; do
    command -v $launcher >/dev/null || continue
    found=1
    printf '#!/bin/sh\nexec %s "$@"\n' "$(command -v $launcher)" >"$place/bin/mpirun"
    chmod +x "$place/bin/mpirun"
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
    export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM OMPI_MCA_rmaps_base_oversubscribe
    run 5
    [ "$(grep -c '^  total' "$place/said")" -eq 4 ]
    verdict $? "$launcher: four ranks loaded"
    wrapper=mpicc${launcher#mpirun}
    mkdir "$place/$wrapper"
    if ! command -v "$wrapper" >/dev/null || ! build_mpi "$wrapper" "$place/$wrapper" >"$place/said" 2>&1; then
        echo "# distorch2-mpi cannot be built by $wrapper: its block was not run"
        continue
    fi
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$place/$wrapper:$top_builddir/.libs" "$place/$wrapper/distorch2-mpi" \
        >"$place/bin/distorch2-mpi"
    chmod +x "$place/bin/distorch2-mpi"
    run 6
    [ "$(grep -c '100.0 %.*cpu' "$place/said")" -eq 4 ]
    verdict $? "$launcher: four ranks opened it together, and share"
done
[ $found -eq 1 ] || echo "# there is neither Open MPI nor MPICH (Debian: openmpi-bin, mpich): their block was not run"

trap - EXIT
daemons=$started
stop
left=0
for one in $daemons; do
    kill -0 "$one" 2>/dev/null && left=1
done
verdict $left 'every daemon has ended'
finish
