# List the recipes.
default:
    @just --list

# Everything that CI asks for.
check: lint typecheck test docs

# The tests, with branch coverage.
test *args:
    uv run pytest -n 2 --cov --cov-report=term {{ args }}

# Style and formatting, without changing anything.
lint:
    uv run ruff check .
    uv run ruff format --check .

# Bring everything into shape.
format:
    uv run ruff check --fix .
    uv run ruff format .

# The type checkers, and whether all that is public has its type.
typecheck:
    uv run mypy
    uv run ty check
    uv run pyright --verifytypes fastapi_caching_route --ignoreexternal

# Build the documentation; a broken link is an error.
docs:
    uv run --group docs zensical build --strict

# Draw the diagrams of the documentation anew, with graphviz, npm and Chromium.
diagrams:
    ./docs/diagrams/draw.sh

# CPU time of hits and misses against a hand-written route.
bench *args:
    uv run --group bench --group peers python benchmarks/speed.py {{ args }}

# The hit ratio of hot keys in a `MemoryCache` and an `LMDBCache`, while a million others are asked for once each.
hot-keys *args:
    uv run python benchmarks/hot_keys.py {{ args }}

# How many keys short-lived responses leave, what an entry takes, and the memory of processes under a million keys.
footprint *args:
    uv run --group bench python benchmarks/footprint.py {{ args }}

# The tests on the lowest and the newest FastAPI, and on every Python that uv finds.
matrix:
    ./tests/matrix.sh

# Weaken the package in one place after another, and see that a test fails for each: half an hour, or only those named.
[positional-arguments]
weakened *names:
    uv run python -m tests.weakened "$@"

# 100,000 requests each to two and to four workers on one LMDB store, while others on it are killed and stopped.
long-race *args:
    uv run python -m tests.long_race {{ args }}

# A public suite of tests for HTTP caches against `examples/reverse_proxy.py`. It needs Node and npm, and a minute.
http-suite *folder:
    uv run python -m tests.http_suite {{ folder }}

# Pictures of the console of two workers under load: wide and dark, while their Redis is down, and narrow.
console-pictures folder seconds='12':
    mkdir -p {{ folder }}
    uv run python -m tests.watching {{ folder }} {{ seconds }}

# 10,000 consumes of one-time states by four processes at the same time, on Redis, LMDB and memcached.
race-states:
    RACING_STATES=2500 uv run pytest tests/sessions/test_processes.py -k race_in_four -p no:cacheprovider
