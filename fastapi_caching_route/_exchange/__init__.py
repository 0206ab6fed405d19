"""One request to a cached route: start reading in `arrival.py`.

Knows neither FastAPI, Starlette, aiocache nor decorators. A plain `def` that returns a coroutine saves the call of
another coroutine that would only await it: each one more makes all misses dearer.

The terms:

- An *entry* is a stored response; `Found` is one that was not invalidated. *Variants* are entries that share a key.
- A *visit* is the use that one request makes of the store, with a time limit for all of it.
- `Looked` is what is under the key of a request, at once if possible. `Seen` is the entry that was chosen from that.
- A *flight* is one run of the endpoint that other requests wait for, its followers: see `_concurrency/flights`.
- An *errand* is the purpose of one run, and a *run* is the endpoint at work. A *recording* is its response so far.
- *Labels* are the headers that we add: X-Cache, Age, Cache-Status, and the Cache-Control of the route.

forecast    what would become of a request that nobody has sent
arrival     a hit is sent at once, or an exchange begins
exchange    the steps of a request, in a loop
overtaking  a stale entry answers in place of an endpoint that takes too long
run         one run of the endpoint, watched message by message
stale       a stale entry after the endpoint was asked
receiving   what the endpoint receives from its client
passing     how a response is passed on while it is recorded
keeping     a complete response is stored, and shared with its followers
placing     the key of a response among others under the key of its request, and who may have it
verdict     what becomes of a response, decided from its head
errand      what a run is for, and what was so before
guarded     a response that is ready, for a request that its guards still have to accept
guards      dependencies that run where the route does not run them
herd        one request among others for the same response
keying      the key of a request, where user code takes part in it
compressing  what a run has stored is compressed behind its response
hit         a response that is made at once from a stored entry
lookup      what is stored for a request, and what may be done with it
call        one request, and its client
account     what became of a request, for counters and observers
plan        what is known of a cached route before any request
runtime     what all routes of one cache have in common while the app runs
user_code   callables of the user's, and what the log is told of them
coded_bodies  plain and compressed bodies in memory, of entries that are kept compressed
negotiating  the representation of an entry for one client
switch      whether a cache is in use
messages    ASGI messages and their headers
"""
