# scenarios/setup.sh: what quickstart.sh and tests/run.sh share: packages, configuration, build.
# Sourced by them after `cd` to the repository; not a program of its own.

packages="cmake ninja-build gcc g++ pkg-config libsimgrid-dev libuv1-dev libopenblas-dev libdnnl-dev libcjson-dev
libsentencepiece-dev libxxhash-dev libjemalloc-dev git"

# Installs what is missing, or prints the line that would.
setup_packages() {
    missing=""
    for p in $packages; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing="$missing $p"
    done
    [ -z "$missing" ] && return 0
    if ! command -v apt-get >/dev/null; then
        echo "error: this set-up knows Debian and Ubuntu; install the equivalents of:$missing" >&2
        return 1
    fi
    if [ "$(id -u)" = 0 ]; then
        as_root=""
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root="sudo"
    else
        echo "packages are missing; run this line, then try again:" >&2
        echo "  sudo apt-get install -y$missing" >&2
        return 1
    fi
    echo "installing$missing"
    # Package lists of a fresh machine may be missing or old: refresh them when the first try fails.
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -q --no-install-recommends $missing >/dev/null 2>&1 && return 0
    $as_root apt-get update -q >/dev/null || return 1
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -q --no-install-recommends $missing >/dev/null && return 0
    echo "error: apt-get could not install:$missing" >&2
    return 1
}

# setup_build PRESET [TARGET...]: configures and builds, quietly unless something goes wrong.
# $VERYEDGE_FUZZ_SECONDS: what ctest gives each fuzzer, 5 if not set.
setup_build() {
    preset=$1
    shift
    log=build/$preset.log
    mkdir -p build
    if ! cmake --preset "$preset" -DVERYEDGE_FUZZ_SECONDS="${VERYEDGE_FUZZ_SECONDS:-5}" >"$log" 2>&1; then
        cat "$log" >&2
        return 1
    fi
    # Targets, if any, come behind one --target.
    [ $# -gt 0 ] && set -- --target "$@"
    if ! cmake --build --preset "$preset" -j "$(nproc)" "$@" >"$log" 2>&1; then
        grep -E 'error|warning|FAILED' "$log" >&2 || cat "$log" >&2
        echo "error: the build failed, all of it is in $log" >&2
        return 1
    fi
}
