#!/usr/bin/env bash
# Make .venv (Python 3.11) and install what requirements.txt pins into it; nothing to do where that is done.
# torch comes by pip, which takes the build that this machine's pip knows (CPU or CUDA). The rest is checked against the
# hashes in scripts/lock and comes by uv, which fetches and compiles side by side: this machine's uv, or one that pip
# brings; where neither works, by pip.
set -euo pipefail
source "$(dirname "$0")/help.sh"
cd "$(dirname "$0")/.."
python=${PYTHON:-$(command -v python3.11 || command -v python3)}
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
    echo "error: Python 3.11 is needed, $python is $("$python" --version); name one with PYTHON=/path/python3.11" >&2
    exit 2
}
wanted=$(sha256sum requirements.txt)
[ "$(cat .venv/installed 2>/dev/null)" != "$wanted" ] || exit 0

say() { printf '   %3d s: %s\n' $SECONDS "$*"; }

pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }

find_uv() { # prints its path
    command -v uv || { pip install --quiet --no-deps --only-binary :all: --require-hashes -r scripts/lock/uv.txt >&2 &&
        echo .venv/bin/uv; }
}

by_uv() { # UV; from the index that pip is set to, if it is
    local index=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$(pip config get global.index-url 2>/dev/null || true)}}
    env ${index:+UV_DEFAULT_INDEX="$index"} "$1" pip install --python .venv/bin/python --no-deps --require-hashes \
        ${PYTHONDONTWRITEBYTECODE:+--compile-bytecode} -r scripts/lock/packages.txt 2>&1 | awk '!/^ [-+~] / { print "          " $0; fflush() }'
}

by_pip() {
    pip install --progress-bar off --no-deps --require-hashes -r scripts/lock/packages.txt | awk -v packages="$packages" '
        function say(what) { print "          " what; fflush() }
        /^Collecting / && ++n % 20 == 0 { say(n " of " packages " fetched") }
        /Building wheel for .*: started/ { say("compiling " $4) }
        /^Installing collected/ { say("putting them into .venv") }'
}

packages=$(grep -c == scripts/lock/packages.txt)
say "making .venv with $("$python" --version)"
"$python" -m venv .venv
say "torch, by pip (0.2 GB for CPUs; with CUDA 3 GB)"
pip install --quiet --constraint requirements.txt torch
if uv=$(find_uv); then
    say "$packages more packages, by uv (0.6 GB; Fast Downward is compiled, which takes longest)"
    by_uv "$uv" || uv=""
fi
if [ -z "$uv" ]; then
    say "$packages more packages, by pip, as uv did not work"
    by_pip
fi
echo "$wanted" > .venv/installed
say "installed, $(du -sm .venv | cut -f 1) MB"
