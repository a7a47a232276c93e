#!/bin/sh
# From a fresh clone to a first result: installs what is missing, builds, runs scenarios/quickstart.json.
# Works from any directory and as often as you like. Arguments go to `veryedge run`:
#   sh scenarios/quickstart.sh --set federation.rounds=10
set -eu
here=$PWD
cd "$(dirname "$0")/.."
root=$PWD
. scenarios/setup.sh
setup_packages
echo "building"
setup_build release veryedge
cd "$here" # relative paths in the arguments are relative to the caller's folder
exec "$root/build/release/veryedge" run "$root/scenarios/quickstart.json" "$@"
