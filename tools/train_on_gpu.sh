#!/bin/bash
# Trains the shipped networks on rendered people within minutes of one GPU: painted points, points, person detector.
#
#   tools/train_on_gpu.sh OUT [MINUTES] [BANK]
#
# OUT gets a folder for each network with weights, logs and checkpoints; the same command resumes runs that were
# interrupted. MINUTES: for all of them (default 9). BANK: body bank (default: the shipped one).
# Needs nothing but torch, numpy, lightning_fabric and what the package itself imports. Without a GPU, or with
# SMOKE=1, a few steps of each run on the CPU show that all of it works.
set -euo pipefail

out=$(realpath -m "$1")
minutes=${2:-9}
bank=${3:+$(realpath "$3")}
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
export PYTHONPATH="$PWD:$PWD/training${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$out"

gpu=0
if [ -z "${SMOKE:-}" ] && "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    gpu=1
fi

common=(run.workers=0 ${bank:+stream.bank="$bank"})
if [ "$gpu" = 1 ]; then
    cores=$(nproc)
    # People are rendered on the GPU between the steps, so that no process has to be fed; scenes of the detector are
    # drawn by all cores.
    people=("${common[@]}" run.accelerator=gpu run.precision=bf16-mixed run.batch=512 run.learning_rate=4.0e-3
        stream.frames=256 stream.views=2 stream.replays=3 stream.interleave=1 run.steps=1000000
        run.schedule=constant run.validate_every=0 run.checkpoint_every=100 run.log_every=20)
    detector=("${common[@]}" run.accelerator=gpu run.batch=128 stream.device=cpu run.workers="$((cores > 2 ? cores - 2 : 1))"
        run.steps=1000000 run.schedule=constant run.validate_every=0 run.checkpoint_every=100)
else
    small=(stream.draw.width=128 stream.draw.height=96 stream.frames=4 stream.interleave=1 stream.validation_people=8
        run.accelerator=cpu run.threads=1 run.steps=2 run.batch=4 run.checkpoint_every=1 run.validate_every=0)
    people=("${common[@]}" "${small[@]}" stream.batches=2)
    detector=("${common[@]}" "${small[@]}")
fi

# share NAME RECIPE PERCENT SETTINGS...: one network in its part of the time.
share() {
    local name=$1 recipe=$2 limit
    limit=$(awk "BEGIN { print $minutes * $3 / 100 }")
    shift 3
    "$python" -m unipose_ros.cli train "$recipe" "$@" run.max_minutes="$limit" --output "$out/$name" --allow-config-change
}

share painted points 50 "${people[@]}" paint=true initial="${PAINTED:-weights/points.safetensors}"
share points points 30 "${people[@]}" initial="${POINTS:-weights/points.safetensors}"
share detector detector 15 "${detector[@]}" initial="${DETECTOR:-weights/person_detector.safetensors}"
