#!/bin/sh
# Twenty networks for one training: what a sweep over network keys of the quick start costs, its cache empty at
# the beginning, against one run without a cache. Wall seconds and CPU seconds; on a busy machine believe the
# latter. Exit status 1 when the sweep costs more than 1.5 runs by both.
#   sh tests/bench_memo.sh [PROGRAM]
set -eu
cd "$(dirname "$0")/.."
veryedge=$(realpath "${1:-build/release/veryedge}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# seconds NAME COMMAND...: wall and CPU seconds of a command into $work/NAME
seconds() {
    name=$1
    shift
    begun=$(date +%s.%N)
    (
        "$@" >"$work/$name.out" 2>"$work/$name.err"
        times
    ) >"$work/$name.times" || { cat "$work/$name.err" >&2; exit 1; }
    ended=$(date +%s.%N)
    awk -v begun="$begun" -v ended="$ended" 'NR == 2 { split($1, u, "[ms]"); split($2, s, "[ms]")
        printf "%.2f %.2f\n", ended - begun, 60 * (u[1] + s[1]) + u[2] + s[2] }' "$work/$name.times" >"$work/$name"
}

seconds run "$veryedge" run scenarios/quickstart.json --quiet --no-cache --set output.dir="$work/one"
seconds sweep "$veryedge" sweep scenarios/quickstart.json --cache "$work/cache" --out "$work/points" \
    --vary network.up=5Mbps,10Mbps,20Mbps,50Mbps --vary network.down=20Mbps,40Mbps,60Mbps,80Mbps,100Mbps
grep known "$work/sweep.err"
points=$(ls "$work/points/variants" | wc -l)
[ "$points" -eq 20 ] || { echo "expected 20 runs, got $points" >&2; exit 1; }
# The point that is the quick start's own network must have its very results.
cmp "$work/one/rounds.csv" "$work/points/variants/up=10Mbps,down=40Mbps/rounds.csv"
paste -d ' ' "$work/run" "$work/sweep" | awk '{
    printf "one run    %7.1f s, %6.1f CPU seconds\n20 by sweep %6.1f s, %6.1f CPU seconds\n", $1, $2, $3, $4
    printf "ratio      %7.2f   %7.2f\n", $3 / $1, $4 / $2
    exit $3 / $1 > 1.5 && $4 / $2 > 1.5 }'
