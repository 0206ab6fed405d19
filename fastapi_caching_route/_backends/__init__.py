"""Backends: objects under keys, for some seconds. Knows neither entries nor names, neither how keys are made nor HTTP.

commands       commands under a time budget
linked         a backend that may be slow or down: a link per event loop, a breaker for all
link           the commands of one event loop: concurrency, batches, time-outs
drivers        what a link sends commands through, over a backend of aiocache
clients        clients of our own for redis-py and aiomcache
redis_clients  the same for redis-py: single server, cluster, Sentinel
urls           URLs of stores: their parts, their options, clients of redis-py
breaker        whether the backend is worth asking
outage         what the log says about a backend in trouble
aiocache       aiocache as type checkers see it
"""
