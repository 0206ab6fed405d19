"""One request to a cached route: start reading in `exchange.py`.

Knows neither FastAPI, Starlette, aiocache nor decorators.
"""
