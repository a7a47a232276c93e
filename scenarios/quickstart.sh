#!/bin/sh
# From a fresh clone to a first result: installs what is missing, builds, runs scenarios/quickstart.json.
# Works from any directory and as often as you like. Arguments go to `veryedge run`:
#   sh scenarios/quickstart.sh --set federation.rounds=10
set -eu
cd "$(dirname "$0")/.."
. scenarios/setup.sh
setup_packages
echo "building"
setup_build release veryedge
exec build/release/veryedge run scenarios/quickstart.json "$@"
