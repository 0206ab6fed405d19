"""Decorated routes, before any request. Knows neither the messages of a response nor the internals of stores.

all_workers  statistics of all processes that share a store
counted      counters of routes and state of the store, as public records
erasing      entries deleted with their bytes, and their records of variants
listed       entries for people
warming_up   requests through an app, so that their responses are stored
start_up     what is wrong as an app starts
installing   gives an app or router the route class that can cache
by_hand      responses that user code itself reads and stores
replacing    gives a cache an empty store and another clock, for tests
reached      a route as requests reach it: its plan, its methods, and what a write invalidates
planning     builds the plan of a decorated route
decorating_writes  decorates a write with `@cache.invalidates(...)`
decorating   decorates an endpoint with `@cache(...)`
owning       the route that owns a key of `CacheContext`
hooks        the user's callables, in the form that a plan needs
description  the parts of a cache key that identify a route
targets      tags, endpoints and paths to invalidate, as names of entries
mistaken     warns of names that are probably not what was meant
caches       the caches that an app uses
decoration   what the decorators attach to an endpoint, and its checks
building     checks the options of a `FastAPICache`, and builds its settings
settings     the options of one `FastAPICache`, checked, and what its routes share
apps         tells apart the apps that serve one route
namesakes    numbers for objects with equal names, the same in every process
unserved     decorated endpoints that no `CachingRoute` serves
requested    invalidations that a request asks for through `CacheContext`
writes       what a write invalidates, and when
purge_check  the option `purge`, checked
purging      invalidations go on to caches in front
in_purges    invalidations that a purge makes itself
"""
