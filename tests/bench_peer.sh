#!/bin/sh
# The same work by veryedge and by PyTorch + transformers + PEFT on this machine, alternating: ratios of times with
# their spread, of peak memory, and useful GFLOP/s beside plain float32 products. FLAN-T5-small's shape with rank 16,
# all dropout on; `tiny` has width 128 and 4 + 4 layers. What the workloads are: hf_peft_round.py --help.
#   sh tests/bench_peer.sh [PYTHON] [PAIRS] [WORKLOAD...]
# PYTHON has torch, transformers, peft and numpy (default: python3); PAIRS of runs (default: 3); workloads: step cohort
# tiny generate (default: all), each in float32 and, where the CPU has it, in bf16 (step:bf16 is one of them alone).
# About 15 minutes a pair on 2 quiet cores; each line is printed when its pairs are done.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
python=${1:-python3}
pairs=${2:-3}
[ $# -lt 2 ] && shift $# || shift 2
peer=$top/../shared/peers/hf_peft_round.py
program=${VERYEDGE:-$top/build/release/veryedge}
[ -x "$program" ] || { echo "build first: sh scenarios/quickstart.sh" >&2; exit 1; }
[ -f "$peer" ] || { echo "skipped: $peer is not here"; exit 77; }
"$python" -c 'import torch, transformers, peft, numpy' 2>/dev/null ||
  { echo "skipped: $python lacks torch, transformers, peft or numpy"; exit 77; }
exec "$python" - "$program" "$python" "$peer" "$pairs" "$@" <<'END'
import json, os, statistics, subprocess, sys
program, python, peer, pairs, *asked = sys.argv[1:]
cores = os.cpu_count()
SMALL = "--model flan-t5-small --lengths"
OURS = {
    "step": f"{SMALL} fixed:512,95 --clients 1 --steps 1 --repeats 3",
    "cohort": f"{SMALL} samsum --repeats 1",
    "tiny": "--repeats 5",
    "generate": f"{SMALL} samsum --generate 64 --repeats 3",
}
THEIRS = {"step": "--repeats 2 --warmup 1", "cohort": "--repeats 1 --warmup 1", "tiny": "--repeats 3 --warmup 1",
          "generate": "--repeats 2 --warmup 1"}
AIM = {"step": {"float32": 1.5, "bf16": 2}, "cohort": {"float32": 2.5, "bf16": 3.5},
       "tiny": {"float32": 2.5, "bf16": 2.5}, "generate": {"float32": 3, "bf16": 3}}

def call(command):
    done = subprocess.run(command, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            return json.loads(line)
    return None if done.returncode in (1, 2) else sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")

def settings(work, precision):
    dtypes = ["fp32"] if precision == "float32" else ["bf16-autocast", "bf16-weights"]
    for dtype in dtypes:
        if work == "generate":
            for extra in ("--gen-batch 8", "--gen-batch 32 --merge"):
                yield f"--dtype {dtype} --threads {cores} {extra}"
        else:
            yield f"--dtype {dtype} --threads {cores}"
            if work != "step" and cores > 1:
                yield f"--dtype {dtype} --processes {cores} --threads 1"

def spread(values, form):
    return f"{statistics.median(values):{form}} ({min(values):{form}} .. {max(values):{form}})"

def measure(work, precision):
    ours, theirs = [], {}
    for _ in range(int(pairs)):
        o = call([program, "bench", "train", "--backend", "cpu", "--precision", precision, "--peak", "1TFLOP/s",
                  "--json", "-", *OURS[work].split()])
        if o is None:
            print(f"{work} {precision}: skipped, not on this CPU", flush=True)
            return
        ours.append(o)
        for s in settings(work, precision):
            t = call([python, peer, work, *THEIRS[work].split(), "--wait", "0", "--max-other", "100", *s.split()])
            if t:
                theirs.setdefault(s, []).append(t)
    print(f"{work} {precision}: veryedge {spread([o['median_s'] for o in ours], '.3f')} s, "
          f"peak {max(o['peak_bytes'] for o in ours) / 2**20:.0f} MiB"
          + (f", planned {ours[0]['planned_bytes'] / 2**20:.0f}" if "planned_bytes" in ours[0] else ""))
    best = None
    for s, runs in theirs.items():
        ratios = [t["median_s"] / o["median_s"] for t, o in zip(runs, ours)]
        memory = statistics.median(o["peak_bytes"] / 1e6 / t["peak_rss_mb"] for t, o in zip(runs, ours))
        print(f"  PyTorch {s}: {spread([t['median_s'] for t in runs], '.3f')} s, ratio {spread(ratios, '.2f')}; "
              f"memory {runs[0]['peak_rss_mb']} MB, ours {memory:.2f} of it")
        if best is None or statistics.median(ratios) < best:
            best = statistics.median(ratios)
    aim = AIM[work][precision]
    print(f"  against its best setting {best:.2f} times faster: {'reached' if best >= aim else 'NOT REACHED'}, {aim} is asked")
    if work == "step":
        runs = [t for r in theirs.values() for t in r]
        useful, plain = runs[0]["gflop_useful"], statistics.median(t["sgemm_gflop_per_s"] for t in runs)
        rate = useful / statistics.median(o["median_s"] for o in ours)
        print(f"  useful {rate:.0f} GFLOP/s, {100 * rate / plain:.0f} % of plain float32 products ({plain:.0f} GFLOP/s, "
              "numbers of PyTorch's side)")
    sys.stdout.flush()

for name in asked or list(OURS):
    work, _, only = name.partition(":")
    if work not in OURS:
        sys.exit(f"no workload {work!r}: expected {', '.join(OURS)}")
    for precision in [only] if only else ["float32", "bf16"]:
        measure(work, precision)
END
