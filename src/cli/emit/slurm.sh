#!/bin/sh
# Written by `kpkg matrix --emit slurm`: an array of jobs, a shard each, in a folder that all nodes see.
#   ID=$(sbatch --parsable FILE) && sbatch --dependency=afterok:"$ID" --wrap 'kpkg merge --plan plan.json out -o dist'
#SBATCH --job-name=kpkg
#SBATCH --array=0-@LAST@
#SBATCH --output=kpkg-%a.log
set -eu
@SETUP@
kpkg kernels fetch --plan plan.json --shard "$SLURM_ARRAY_TASK_ID"
# 4: some kernel failed, which its result says and the merge tells
kpkg build --plan plan.json --shard "$SLURM_ARRAY_TASK_ID" -o out --jobs "${SLURM_CPUS_PER_TASK:-1}" || test $? -eq 4
