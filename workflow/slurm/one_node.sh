#!/usr/bin/env bash
# A Slurm of one node on the loopback interface, for trying the cluster path on any machine; as root, after
#   apt-get install slurm-wlm munge
# `one_node.sh start FOLDER` starts it with its state in FOLDER and /etc/slurm as Debian has it, `one_node.sh stop FOLDER` ends it.
# `one_node.sh try` between the two, in the repository: trains and simulates as jobs, cancels one of them in its middle, waits until it was
# taken up again, and compares what they made, byte for byte, with what this machine makes alone.
# The node claims 64 cores, 64 GB and two GPUs that it has not, so that the profile is accepted as it is.
set -euo pipefail
folder=$(realpath -m "${2:-.}")
etc=/etc/slurm

case $1 in
start)
    mkdir -p "$etc" "$folder/state" "$folder/spool" /run/munge
    chown munge /run/munge
    runuser -u munge -- munged
    cat > "$etc/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MinJobAge=3600
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=$(hostname) NodeAddr=127.0.0.1 CPUs=64 RealMemory=64000 Gres=gpu:2
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE
CONF
    printf "Name=gpu File=/dev/%s\n" null zero > "$etc/gres.conf"
    slurmctld -c 
    slurmd
    for _ in $(seq 30); do
        if sinfo --noheader --format=%T | grep -q idle; then exit 0; fi
        sleep 1
    done
    sinfo --long
    exit 1
    ;;
try)
    for root in runs/slurm runs/alone; do
        mkdir -p $root/data
        cp -r data/chain-smoke $root/data
    done
    run() { python workflow/run.py "$@" --until simulate --config scale=slurm/small "root=$root"; }
    root=runs/slurm run --profile workflow/slurm --slurm-status-command squeue &
    until [ "$(find runs/slurm/data/simulations/chain-smoke.long.nc.partial -name '0*.npz' 2> /dev/null | wc -l)" -ge 2 ]; do sleep 0.2; done
    job=$(squeue --noheader --format="%A %k" | awk '/chain-smoke_long/ { print $1 }')
    scancel "$job"
    echo "cancelled job $job after $(find runs/slurm/data/simulations/chain-smoke.long.nc.partial -name '0*.npz' | wc -l) blocks of 6"
    wait $!
    root=runs/alone run --cores 1
    for made in models/chain-smoke.safetensors simulations/chain-smoke.{refined,unrefined,long}.nc; do
        cmp "runs/slurm/data/$made" "runs/alone/data/$made" && echo "the same bytes: $made"
    done
    ;;
stop)
    scancel --user=root || true
    kill "$(cat "$folder/slurmd.pid")" "$(cat "$folder/slurmctld.pid")" "$(cat /run/munge/munged.pid)"
    ;;
esac
