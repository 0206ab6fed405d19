"""Backends: objects under keys, for some seconds. Knows neither entries nor names, neither how keys are made nor HTTP.

commands       commands under a time budget
listing        the keys of a backend, page by page
records        bytes that are changed in one step
linked         a backend that may be slow or down: a link per event loop, a breaker for all
link           the commands of one event loop: concurrency, batches, time-outs
batch          callers that wait for one command together
record_commands  how each store does that
lmdb_driver    the driver of an LMDB store
lmdb_pairs     look-ups in it as each hit does one
in_process     the driver of a backend in the memory of this process
drivers        what a link sends commands through, over a backend of aiocache
redis_journal  journals in Redis, by a script
redis_heads    reads from Redis of which large values send only how they begin
redis_known    reads from Redis that do not send large values again
plugins        plugins of aiocache, which users put into their backends
codec          what turns objects into bytes and back
clients        clients of our own for redis-py and aiomcache
redis_clients  the same for redis-py: single server, cluster, Sentinel
urls           URLs of stores: their parts, their options, clients of redis-py
breaker        whether the backend is worth asking
outage         what the log says about a backend in trouble
lmdb_store     bytes under keys in LMDB, for all processes of a machine
lmdb_writer    the thread that writes to it
lmdb_jobs      operations that wait for that thread, and how their results get back
lmdb_journal   journals in it
journal        the rules of journals: ordered lists of texts, to which a backend appends in one step
lmdb_table     what one transaction sees of it: values, when they expire, which are evicted
lmdb_environment  how LMDB is opened, forked and opened anew
lmdb_forks     objects that are told of forks
lmdb_files     its files: how they are made, recognized and set aside
lmdb_folder    where it is, and whether that is safe
eviction       which value in memory is evicted next
aiocache       aiocache as type checkers see it
"""
