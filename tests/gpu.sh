#!/bin/sh
# The checks that need a GPU, on a machine that has one but neither cmake nor our libraries.
#   sh tests/gpu.sh --pack DIR [BUILD]   what is needed, as DIR/veryedge-gpu.tar.xz, out of BUILD (default: build/release)
#   sh tests/gpu.sh --run DIR [WORDS]    there: all checks, or those whose name has one of the WORDS; one line each
# Every line of --run is "ok", "FAIL" or "skip", what was checked, and its figure; exit status 1 when any failed.
# Logs and figures lie in DIR/out, and in $OUT/gpu-logs.tar.gz where OUT is set. WORDS: a part of a line's name, such as
# federated, bench, trace (kernel by kernel), profile, sanitizer, racecheck; without any, all but trace.
# The archive may have 50 MiB: a build for one kind of GPU and without oneDNN takes least.
#   cmake -S . -B build/gpu -G Ninja -DCMAKE_BUILD_TYPE=Release -DVERYEDGE_CUDA_ARCHITECTURES=90-real -DVERYEDGE_ONEDNN=OFF
#   ninja -C build/gpu veryedge test_cuda cuda_ops cuda_attention cuda_trainer cuda_crew test_t5_reference
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
PROGRAMS="test_cuda cuda_ops cuda_attention cuda_trainer cuda_crew test_t5_reference"

pack() {
  set -eu
  build=${2:-$top/build/release}
  [ -x "$build/veryedge" ] || { echo "build first: $build/veryedge is not there" >&2; exit 1; }
  mkdir -p "$1"
  to=$(cd "$1" && pwd)/veryedge-gpu
  rm -rf "$to"
  mkdir -p "$to/bin" "$to/lib" "$to/glibc" "$to/home/models" "$to/tests" "$to/scenarios"
  cp "$build/veryedge" "$to/bin/"
  for test in $PROGRAMS; do
    if [ -x "$build/tests/$test" ]; then cp "$build/tests/$test" "$to/bin/"; else echo "not built, left out: $test" >&2; fi
  done
  pack_trace "$to/lib"
  # All that ldd names must be there when a program starts, SimGrid's ns-3 too. The C library goes aside: the
  # machine's own is taken as long as it is new enough.
  ldd "$to"/bin/* | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/lib[^ ]*ld-linux[^ ]*\) .*/\1/p' | sort -u |
    while read -r library; do
      case $library in
        */libc.so.*|*/libm.so.*|*/libdl.so.*|*/libpthread.so.*|*/librt.so.*|*/ld-linux*) cp -L "$library" "$to/glibc/" ;;
        *) cp -L "$library" "$to/lib/" ;;
      esac
    done
  strip --strip-debug "$to"/bin/* "$to"/lib/* 2>/dev/null || true
  cp -r "$top/models/tiny" "$to/home/models/"
  cp -r "$top/tests/vectors/t5" "$to/tests/"
  cp "$top"/scenarios/*.json "$to/scenarios/"
  cp -r "$top/scenarios/optimizers" "$to/scenarios/"
  rm -f "$to.tar.gz" "$to.tar.xz"
  # Each program holds the same kernels: a dictionary larger than all of them together finds that, 32 KiB do not.
  if command -v xz >/dev/null; then
    archive=$to.tar.xz
    tar -C "$to" -cf - ./bin ./lib ./glibc ./home ./tests ./scenarios | xz -6 --lzma2=preset=6,dict=128MiB >"$archive"
  else
    archive=$to.tar.gz
    tar -C "$to" -cf - . | gzip -9 >"$archive"
  fi
  rm -rf "$to"
  cp "$top/tests/gpu.sh" "$1/gpu.sh"
  size=$(wc -c <"$archive")
  echo "$archive: $((size / 1048576)) MiB"
  [ "$size" -le 52428800 ] || { echo "more than 50 MiB: see the head of tests/gpu.sh for a slim build" >&2; exit 1; }
}

# pack_trace DIR: the tracer, where CUPTI is.
pack_trace() {
  cuda=/usr/local/cuda
  for cupti in "$cuda" "$cuda/extras/CUPTI"; do
    [ -f "$cupti/include/cupti.h" ] || continue
    # shellcheck disable=SC2015
    g++ -O2 -shared -fPIC -o "$1/libcuda_trace.so" "$top/tests/cuda_trace.cpp" "-I$cupti/include" "-I$cuda/include" \
      "-L$cupti/lib64" "-L$cuda/lib64" -lcupti && return 0 || break
  done
  echo "no CUPTI here, left out: trace" >&2
}

# The archive with whatever is here.
unpack() {
  if [ ! -f "$1/veryedge-gpu.tar.xz" ]; then
    tar -C "$2" -xzf "$1/veryedge-gpu.tar.gz"
  elif command -v xz >/dev/null; then
    tar -C "$2" -xJf "$1/veryedge-gpu.tar.xz"
  else
    python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1], "r:xz").extractall(sys.argv[2])' \
      "$1/veryedge-gpu.tar.xz" "$2"
  fi
}

n_failed=0
say() { printf '%-4s %-34s %s\n' "$1" "$2" "$3"; [ "$1" != FAIL ] || n_failed=$((n_failed + 1)); }
# wanted NAME: whether this check was asked for.
wanted() {
  [ -z "$words" ] && return 0
  for word in $words; do case $1 in *"$word"*) return 0 ;; esac; done
  return 1
}
last() { tail -n 1 "$out/$1.log" 2>/dev/null | cut -c 1-150; }

# run NAME SECONDS PROGRAM ARGUMENT...: under a time limit, its output in a log.
run() {
  name=$1 limit=$2 binary=$3
  shift 3
  # shellcheck disable=SC2086
  timeout "$limit" $loader "$home/bin/$binary" "$@" >"$out/$name.log" 2>&1
}

# A test program: its last line is its figure.
program() {
  wanted "$1" || return 0
  [ -x "$home/bin/$3" ] || { say skip "$1" "$3 was not packed"; return 0; }
  if run "$@"; then say ok "$1" "$(last "$1")"; else say FAIL "$1" "$(last "$1")"; fi
}

federated() { # NAME OPTION...
  name=$1
  shift
  # At this rate rounding stays rounding: cutting the passes otherwise moves losses by 3e-7.
  run "$name" 300 veryedge run "$home/scenarios/optimizers/fedadamw.json" --no-cache --set federation.server.lr=0.001 \
    --set federation.rounds=20 --set evaluate.every=10 \
    --set evaluate.samples=40 --set "output.dir=$out/$name" --quiet "$@"
}

# losses A B LIMIT: the largest relative difference of the training losses of two runs, and whether it is small.
losses() {
  paste -d, "$out/$1/rounds.csv" "$out/$2/rounds.csv" | awk -F, -v limit="$3" '
    NR == 1 { for (i = 1; i <= NF; i++) if ($i == "train_loss") { if (a) b = i; else a = i } next }
    { d = ($b - $a) / $a; if (d < 0) d = -d; if (d > most) most = d; n++ }
    END { printf "largest difference of %d losses %.2e, at most %s\n", n, most, limit; exit !(n > 0 && most <= limit) }'
}

compare() { # NAME A B LIMIT
  wanted "$1" || return 0
  if [ ! -f "$out/$2/rounds.csv" ] || [ ! -f "$out/$3/rounds.csv" ]; then
    say FAIL "$1" "a run failed: $(last "$3")"
  elif figure=$(losses "$2" "$3" "$4"); then say ok "$1" "$figure"; else say FAIL "$1" "$figure"; fi
}

bench() { # MODEL PRECISION CLIENTS
  name=bench-$1-$2
  wanted "$name" || return 0
  if run "$name" 180 veryedge bench train --backend cuda --precision "$2" --model "$1" --clients "$3" --batch 8 --steps 2 \
      --lengths samsum --parts --json "$out/$name.json"; then
    say ok "$name" "$(sed -n 's/^local step *//p' "$out/$name.log" | cut -d, -f1); $(sed -n 's/^tokens *//p' "$out/$name.log") tokens; \
$(sed -n 's/^flop *//p' "$out/$name.log" | sed 's/, 4 x.*attention//'); $(sed -n 's/^power *//p' "$out/$name.log" | cut -d, -f1)"
    sed -n '/^part of a step/,$p' "$out/$name.log" | sed 's/^/       /'
  else
    say FAIL "$name" "$(last "$name")"
  fi
}

# races LOG: accesses that race in kernels of ours. Those of cuBLASLt (nvjet_*) order their copies into shared memory by
# barriers that racecheck does not follow.
races() { grep -E '^=========.*(Read|Write) access at' "$1" | grep -v 'access at nvjet_'; }

# The operations at few sizes, every kernel among them; VERYEDGE_SANITIZER_S: seconds each tool may take.
sanitizer() { # TOOL
  name=sanitizer-$1
  limit=${VERYEDGE_SANITIZER_S:-180}
  wanted "$name" || return 0
  tool=
  for path in "$(command -v compute-sanitizer)" /usr/local/cuda/bin/compute-sanitizer \
      /usr/local/cuda/compute-sanitizer/compute-sanitizer; do
    [ -n "$tool" ] || [ ! -x "$path" ] || tool=$path
  done
  [ -n "$tool" ] || { say skip "$name" "compute-sanitizer is not here"; return 0; }
  [ -z "$loader" ] || { say skip "$name" "the C library here is too old to start without our loader"; return 0; }
  [ -x "$home/bin/test_cuda" ] || { say skip "$name" "test_cuda was not packed"; return 0; }
  VERYEDGE_TEST_FEW=1 timeout "$limit" "$tool" --tool "$1" --error-exitcode 9 "$home/bin/test_cuda" >"$out/$name.log" 2>&1
  rc=$?
  found=$(grep -m 1 -E '^========= +(Invalid|Program hit|Error|Race|Barrier|Warning)' "$out/$name.log")
  if [ "$1" = racecheck ] && [ "$rc" -ne 1 ] && [ -n "$found" ] && ! races "$out/$name.log" >/dev/null; then
    found=
    [ "$rc" -ne 9 ] || { say ok "$name" "none in our kernels; cuBLASLt's own: $(last "$name" | sed 's/=* *//')"; return 0; }
  fi
  case $rc in
    0) say ok "$name" "$(last "$name")" ;;
    124)
      if [ -n "$found" ]; then say FAIL "$name" "$found"
      else say skip "$name" "not done after $limit s, nothing found until then"; fi ;;
    *) say FAIL "$name" "${found:-$(last "$name")}" ;;
  esac
}

# Which kernel takes how long, by tests/cuda_trace.cpp.
trace() { # MODEL
  name=trace-$1
  wanted "$name" || return 0
  [ -f "$home/lib/libcuda_trace.so" ] || { say skip "$name" "libcuda_trace.so was not packed"; return 0; }
  preload="env LD_PRELOAD=$home/lib/libcuda_trace.so"
  [ -z "$loader" ] || preload="$loader --preload $home/lib/libcuda_trace.so"
  # shellcheck disable=SC2086
  if LD_LIBRARY_PATH="$LD_LIBRARY_PATH:/usr/local/cuda/lib64:/usr/local/cuda/extras/CUPTI/lib64" CUDA_TRACE_LAST=0.5 \
      timeout 60 $preload "$home/bin/veryedge" bench train --backend cuda --precision bf16 --clients 10 --batch 8 \
      --steps 2 --lengths samsum --model "flan-t5-$1" >"$out/$name.out" 2>"$out/$name.log" && [ -s "$out/$name.log" ]; then
    say ok "$name" "$(sed -n 's/^local step *//p' "$out/$name.out" | cut -d, -f1) a step"
    head -n 40 "$out/$name.log" | sed 's/^/       /'
  else
    say FAIL "$name" "$(last "$name")"
  fi
}

check() {
  home=$1/unpacked
  shift
  words=$*
  [ -d "$home" ] || { mkdir -p "$home" && unpack "$home/.." "$home" || exit 1; }
  home=$(cd "$home" && pwd)
  out=$home/../out
  mkdir -p "$out"
  export VERYEDGE_HOME="$home/home"
  loader=
  export LD_LIBRARY_PATH="$home/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  if ! "$home/bin/veryedge" --version >"$out/version.log" 2>&1; then
    # An older C library than the build's: ours, with its own loader.
    loader="$(find "$home/glibc" -name 'ld-linux*') --library-path $home/glibc:$LD_LIBRARY_PATH:/usr/lib/x86_64-linux-gnu:/usr/lib64:/usr/lib/wsl/lib"
    run version 20 veryedge --version || { say FAIL start "$(last version)"; exit 1; }
  fi
  nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,power.limit,memory.total --format=csv,noheader 2>/dev/null | head -n 1
  head -n 1 "$out/version.log"

  program operations 200 test_cuda
  program float32-operations 100 cuda_ops
  program float32-attention 100 cuda_attention
  program float32-trainer 100 cuda_trainer
  program float32-parts 100 cuda_crew
  program vectors-float32 200 test_t5_reference --backend cuda "$home/tests/t5/tiny" "$home/tests/t5/skew"
  # FLAN-T5-small's shape in float64, with what rounding may move there: see tests/vectors/t5/README.md.
  program vectors-formula 200 test_t5_reference --backend cuda "$home/tests/t5/formula"

  if wanted federated; then
    federated federated-cpu --backend cpu
    federated federated-cuda --backend cuda
    federated federated-again --backend cuda
    federated federated-bf16 --backend cuda --precision bf16
    federated federated-parts --backend cuda --gpus 2
    compare federated-losses federated-cpu federated-cuda 1e-4
    compare federated-bf16-losses federated-cpu federated-bf16 5e-2
    compare federated-parts-losses federated-cuda federated-parts 1e-4
    if cmp -s "$out/federated-cuda/rounds.csv" "$out/federated-again/rounds.csv" &&
        cmp -s "$out/federated-cuda/adapter/adapter_model.safetensors" "$out/federated-again/adapter/adapter_model.safetensors"; then
      say ok federated-repeats "the same bytes twice"
    else
      say FAIL federated-repeats "two runs on the GPU differ"
    fi
    for name in federated-cpu federated-cuda federated-bf16; do
      [ -f "$out/$name/performance.json" ] && say ok "$name" "$(tr -d '\n' <"$out/$name/performance.json" | sed 's/.*"train_s": \([0-9.]*\).*"tokens_per_s": \([0-9]*\).*/trained in \1 s, \2 tokens per s/')"
    done
  fi

  bench flan-t5-small float32 10
  bench flan-t5-small bf16 10
  bench flan-t5-base bf16 10
  bench flan-t5-large float32 10
  bench flan-t5-large bf16 10
  bench flan-t5-xl bf16 4

  if wanted profile; then
    gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1 | grep -oE 'GH200|H[12]00|A100|Orin' | tr 'A-Z' 'a-z')
    for precision in float32 bf16; do
      device=${gpu:-gpu}-$precision
      if run "profile-$precision" 200 veryedge bench device --backend cuda --precision "$precision" --name "$device" \
          --model flan-t5-small --model flan-t5-base --model flan-t5-large --model flan-t5-xl --out "$out/$device.json"; then
        say ok "profile-$precision" "$(sed -n 's/^roofline through these steps: //p' "$out/profile-$precision.log")"
        sed -n '/ms of a step/,/^roofline/p' "$out/profile-$precision.log" | sed 's/^/       /'
      else
        say FAIL "profile-$precision" "$(last "profile-$precision")"
      fi
    done
  fi

  for tool in memcheck racecheck synccheck; do sanitizer "$tool"; done
  if [ -n "$words" ]; then
    for model in small large; do trace "$model"; done
  fi
  [ -z "${OUT:-}" ] || tar -C "$out" -czf "$OUT/gpu-logs.tar.gz" .
  if [ "$n_failed" -eq 0 ]; then echo "all passed"; else echo "$n_failed failed"; fi
  [ "$n_failed" -eq 0 ]
}

case ${1-} in
  --pack) [ $# -ge 2 ] || exit 2; shift; pack "$@" ;;
  --run) [ $# -ge 2 ] || exit 2; shift; check "$@" ;;
  *) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
