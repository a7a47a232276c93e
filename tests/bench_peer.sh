#!/bin/sh
# One federated LoRA round on a small T5 (10 clients x 2 steps x mini-batch 8, 4+4 layers, width 128): ours
# against PyTorch + transformers + PEFT, alternating on this machine, and the ratio of the medians.
#   sh tests/bench_peer.sh [PYTHON] [PAIRS]
# PYTHON has torch, transformers, peft and numpy (default: python3); PAIRS of runs (default: 3).
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
python=${1:-python3}
pairs=${2:-3}
peer=$top/../shared/peers/hf_peft_round.py
program=$top/build/release/veryedge
[ -x "$program" ] || { echo "build first: sh scenarios/quickstart.sh" >&2; exit 1; }
[ -f "$peer" ] || { echo "skipped: $peer is not here"; exit 77; }
"$python" -c 'import torch, transformers, peft, numpy' 2>/dev/null ||
  { echo "skipped: $python lacks torch, transformers, peft or numpy"; exit 77; }

cores=$(nproc)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
i=0
while [ "$i" -lt "$pairs" ]; do
  i=$((i + 1))
  "$program" bench train --backend cpu --repeats 5 --json - >>"$work/ours"
  for processes in 1 "$cores"; do
    "$python" "$peer" tiny --repeats 3 --warmup 1 --wait 0 --max-other 100 \
      --processes "$processes" --threads $((cores / processes)) 2>/dev/null >>"$work/peer$processes"
  done
done
"$python" - "$work" "$cores" <<'END'
import json, statistics, sys
work, cores = sys.argv[1:]
def medians(name):
    with open(f"{work}/{name}") as f:
        return [json.loads(line)["median_s"] for line in f if line.startswith("{")]
ours = medians("ours")
print(f"veryedge, {cores} threads: {statistics.median(ours):.3f} s  ({min(ours):.3f} .. {max(ours):.3f})")
for processes in sorted({"1", cores}):
    peer = medians("peer" + processes)
    ratios = [p / o for p, o in zip(peer, ours)]
    print(f"PyTorch + PEFT, {processes} process(es): {statistics.median(peer):.3f} s  "
          f"({min(peer):.3f} .. {max(peer):.3f})  ratio {statistics.median(ratios):.2f} "
          f"({min(ratios):.2f} .. {max(ratios):.2f})")
END
