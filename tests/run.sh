#!/bin/sh
# All tests that need no GPU: installs what is missing, builds, runs ctest, whose summary comes last.
# Works from any directory and as often as you like. Arguments go to ctest:
#   sh tests/run.sh -R scenario
set -eu
cd "$(dirname "$0")/.."
. scenarios/setup.sh
setup_packages
echo "building"
setup_build release
exec ctest --preset release -j "$(nproc)" "$@"
