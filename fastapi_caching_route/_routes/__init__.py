"""Declared routes, before any request. Knows neither the messages of a cached response nor the inside of stores.

reached      a route as requests reach it: its plan, its methods, what a write invalidates
planning     a decorated route becomes a plan
hooks        the user's callables, in the form that a plan needs
description  a decorated route as its cache keys describe it
targets      what user code names to invalidate, as names of entries
caches       the caches that an app uses
decoration   what the decorators attach to an endpoint, found and checked
settings     the options of one `FastAPICache`, checked, and what its routes share
namesakes    numbers for things of one name, the same in every process
unserved     decorated endpoints that no `CachingRoute` serves
requested    invalidations that a request asks for through `CacheContext`
writes       what a write invalidates, and when
"""
