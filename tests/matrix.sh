#!/usr/bin/env bash
# The tests on the lowest and the newest FastAPI on the default Python, and on every other Python that `uv python find`
# has. On the lowest releases, only warnings from our own package are errors. `LOWEST_ONLY=1`: the first line alone.
set -uo pipefail
cd "$(dirname "$0")/.."

lowest=(--with 'fastapi==0.115.0' --with 'httpx<0.28')
failed=0

run() {
    local name=$1; shift
    local log; log=$(mktemp)
    if "$@" >"$log" 2>&1; then status=ok; else status=FAILED; failed=1; fi
    printf '%-38s %-7s %s\n' "$name" "$status" "$(grep -E '(passed|failed|error).* in ' "$log" | tail -n 1 | tr -d '=')"
    if [ "$status" = FAILED ]; then grep -E '^E  ' "$log" | head -n 40; tail -n 20 "$log"; fi
    rm -f "$log"
}

tests=(pytest -q -p no:cacheprovider -W default -W 'error:::fastapi_caching_route')
# For CI, without what has nothing to do with FastAPI: stores in trouble, and the simulation.
without=()
if [ "${LOWEST_ONLY:-}" = 1 ]; then without=(--ignore=tests/test_{faults,clusters,links,simulation}.py); fi
run "lowest FastAPI, default Python" uv run --isolated "${lowest[@]}" "${tests[@]}" "${without[@]}"
if [ "${LOWEST_ONLY:-}" = 1 ]; then exit $failed; fi

run "newest FastAPI, default Python" uv run --isolated pytest -q -p no:cacheprovider
for python in 3.10 3.11 3.12 3.13 3.14; do
    if uv python find --no-python-downloads "$python" >/dev/null 2>&1; then
        run "newest FastAPI, Python $python" \
            uv run --isolated --no-python-downloads --python "$python" pytest -q -p no:cacheprovider
    else
        printf '%-38s %s\n' "Python $python" 'not on this machine'
    fi
done
exit $failed
