"""Cached functions, values and locks: what is used beside routes, in the same store and by the same rules.

decorating  `cache.function`: its options, checked
get_or_set  `cache.get_or_set`: values under keys of the user
cached      cached functions, as users call them
definition  what is known of one function
calling     one call, as its task or thread sees it
asking      the same call, as the exchange sees it: a request
planning    the plan of a function, as of a route
binding     arguments, bound to a signature: their keys and tags
results     results as JSON, and back
values      values as plain values
threads     the event loop that works for a thread
locks       `cache.lock`: one holder at a time, in all processes

Knows the exchange and what all routes of a cache share; knows neither routes nor FastAPI.
"""
