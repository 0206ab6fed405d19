#!/usr/bin/env bash
# The tests on the lowest and the newest FastAPI on the default Python, and on every other Python that uv finds. On the
# lowest releases, only warnings from our own package are errors. `LOWEST_ONLY=1`, for CI: the lowest FastAPI, and the lowest
# Python, without what depends on neither: stores in trouble, processes, simulations, rules of the code.
set -uo pipefail
cd "$(dirname "$0")/.."

default=$(uv run python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if command -v pyenv >/dev/null; then  # uv finds what is in PATH, and that is one of them at a time
    export PYENV_VERSION; PYENV_VERSION=$(pyenv versions --bare | grep -E '^3\.[0-9.]+t?$' | sort -rV | paste -sd: -)
fi
lowest=(--with 'fastapi==0.115.0' --with 'httpx<0.28')
tests=(pytest -q -n 2 -p no:cacheprovider)
failed=0

run() {
    local name=$1 python=$2 log status; shift 2
    log=$(mktemp)
    if uv run --isolated --no-python-downloads --python "$python" "$@" >"$log" 2>&1; then status=ok; else status=FAILED; failed=1; fi
    printf '%-38s %-7s %s\n' "$name" "$status" "$(grep -E '(passed|failed|error).* in ' "$log" | tail -n 1 | tr -d '=')"
    if [ "$status" = FAILED ]; then grep -E '^E  ' "$log" | head -n 40; tail -n 20 "$log"; fi
    rm -f "$log"
}

has() { uv python find --no-python-downloads "$1" >/dev/null 2>&1; }

on_lowest_fastapi() {
    run "lowest FastAPI, Python $default" "$default" "${lowest[@]}" "${tests[@]}" -W default -W 'error:::fastapi_caching_route' "$@"
}

if [ "${LOWEST_ONLY:-}" = 1 ]; then
    apart=(
        --ignore=tests/backends/test_{clusters,breaker,client_settings,commands,event_loops,journal_trouble,lmdb_processes,slow_links}.py
        --ignore=tests/backends/test_{key_value,lmdb_table,round_trips}.py
        --ignore=tests/store
        --ignore=tests/promises/test_{caches_in_front,http_suite,raw_in_front,console_in_a_browser,documents,examples,faults,linear_work,race,shared_workers,watched,workers}.py
        --ignore=tests/promises/test_compression_over_http.py --ignore=tests/exchange/test_locks_in_trouble.py
        --ignore=tests/functions/test_function_race.py
        --ignore=tests/sessions/test_processes.py --ignore=tests/test_{layers,rules,shape,weakened}.py
    )
    # These know nothing of FastAPI, but something of Python: how it cancels, and what its objects take.
    on_lowest_fastapi "${apart[@]}" --ignore=tests/{backends,concurrency,http} \
        --ignore=tests/functions/test_locks.py --ignore=tests/public/test_{lmdb,memory}.py
    for python in 3.10 3.11 3.12 3.13; do
        if [ "$python" = "$default" ]; then break; fi
        if has "$python"; then run "newest FastAPI, Python $python" "$python" "${tests[@]}" "${apart[@]}"; break; fi
    done
    exit $failed
fi

on_lowest_fastapi
for python in 3.10 3.11 3.12 3.13 3.14 3.14t; do
    if has "$python"; then
        run "newest FastAPI, Python $python" "$python" "${tests[@]}"
    else
        printf '%-38s %s\n' "Python $python" 'not on this machine'
    fi
done
exit $failed
