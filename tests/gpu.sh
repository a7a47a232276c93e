#!/bin/sh
# The checks that need a GPU, on a machine that has one but neither cmake nor our libraries.
#   sh tests/gpu.sh --pack DIR [BUILD]   what is needed, as DIR/veryedge-gpu.tar.gz, out of BUILD (default: build/release)
#   sh tests/gpu.sh --run DIR [WORDS]    there: all checks, or those whose name has one of the WORDS; one line each
# Every line of --run is "ok", "FAIL" or "skip", what was checked, and its figure; exit status 1 when any failed.
# Logs and figures lie in DIR/out, and in $OUT/gpu-logs.tar.gz where OUT is set.
set -u
top=$(cd "$(dirname "$0")/.." && pwd)

pack() {
  set -eu
  build=${2:-$top/build/release}
  [ -x "$build/veryedge" ] || { echo "build first: $build/veryedge is not there" >&2; exit 1; }
  mkdir -p "$1"
  to=$(cd "$1" && pwd)/veryedge-gpu
  rm -rf "$to"
  mkdir -p "$to/bin" "$to/lib" "$to/glibc" "$to/home/models" "$to/tests" "$to/scenarios"
  cp "$build/veryedge" "$to/bin/"
  for test in test_cuda cuda_ops cuda_attention cuda_trainer test_t5_reference; do
    [ -x "$build/tests/$test" ] && cp "$build/tests/$test" "$to/bin/"
  done
  # The C library goes aside: the machine's own is taken as long as it is new enough.
  ldd "$to"/bin/* | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/lib[^ ]*ld-linux[^ ]*\) .*/\1/p' | sort -u |
    while read -r library; do
      case $library in
        */libc.so.*|*/libm.so.*|*/libdl.so.*|*/libpthread.so.*|*/librt.so.*|*/ld-linux*) cp -L "$library" "$to/glibc/" ;;
        *) cp -L "$library" "$to/lib/" ;;
      esac
    done
  strip --strip-debug "$to"/bin/* 2>/dev/null || true
  cp -r "$top/models/tiny" "$to/home/models/"
  cp -r "$top/tests/vectors/t5" "$to/tests/"
  [ -d "$top/../shared/reference/small-shape" ] && cp -r "$top/../shared/reference/small-shape" "$to/tests/t5/"
  cp "$top"/scenarios/*.json "$to/scenarios/"
  cp -r "$top/scenarios/optimizers" "$to/scenarios/"
  tar -C "$to" -cf - . | gzip -9 >"$to.tar.gz"
  rm -rf "$to"
  cp "$top/tests/gpu.sh" "$1/gpu.sh"
  size=$(wc -c <"$to.tar.gz")
  echo "$to.tar.gz: $((size / 1048576)) MiB"
  [ "$size" -le 52428800 ] || { echo "more than 50 MiB" >&2; exit 1; }
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

check() {
  home=$1/unpacked
  shift
  words=$*
  [ -d "$home" ] || { mkdir -p "$home" && tar -C "$home" -xzf "$home/../veryedge-gpu.tar.gz" || exit 1; }
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
  program vectors-float32 200 test_t5_reference --backend cuda "$home/tests/t5/tiny" "$home/tests/t5/skew"
  [ ! -d "$home/tests/t5/small-shape" ] ||
    program vectors-small-shape 200 test_t5_reference --backend cuda "$home/tests/t5/small-shape"

  if wanted federated; then
    federated federated-cpu --backend cpu
    federated federated-cuda --backend cuda
    federated federated-again --backend cuda
    federated federated-bf16 --backend cuda --precision bf16
    compare federated-losses federated-cpu federated-cuda 1e-4
    compare federated-bf16-losses federated-cpu federated-bf16 5e-2
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

  if command -v compute-sanitizer >/dev/null && [ -z "$loader" ] && [ -x "$home/bin/test_cuda" ] && wanted sanitizer; then
    if timeout 300 compute-sanitizer --error-exitcode 9 "$home/bin/test_cuda" >"$out/sanitizer.log" 2>&1; then
      say ok sanitizer "$(last sanitizer)"
    else
      say FAIL sanitizer "$(last sanitizer)"
    fi
  fi
  [ -z "${OUT:-}" ] || tar -C "$out" -czf "$OUT/gpu-logs.tar.gz" .
  if [ "$n_failed" -eq 0 ]; then echo "all passed"; else echo "$n_failed failed"; fi
  [ "$n_failed" -eq 0 ]
}

case ${1-} in
  --pack) [ $# -ge 2 ] || exit 2; shift; pack "$@" ;;
  --run) [ $# -ge 2 ] || exit 2; shift; check "$@" ;;
  *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
