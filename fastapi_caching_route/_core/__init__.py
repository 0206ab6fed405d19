"""Our own nouns, pure: no await, clock, chance, logging, framework or stores. Knows only errors and HTTP.

policy_checks  the options of a policy
checks    values of options
durations  seconds, as users write them
declared  what a route declares, for one request
ready     heads of responses, for the second in which they stay the same
labels    how a response came about, as response headers
variants  the responses under one key, and what selects one of them
read_log  what code has read of one raw request
given_paths  paths to invalidate, as users write them
names     the names by which entries are invalidated
key_names  the name of a cache key, which is one of them
owner     whose a stored value is
key       cache keys
inputs    the parts of a request that a route reads
raw_request  one request, and the values of what is read of it
read_names   names for what code reads of a raw request
as_json   values as JSON
lifespan_state  what the lifespan leaves in the state of each request
plain     values that can be compared
form      multipart forms, independent of their boundaries
json_value  JSON bodies, by value
recorder  the messages of a response, copied as they pass
entry     a stored response
codings   content codings: gzip, brotli, zstd
written   response headers that dependencies and the endpoint write
counts    what a route has done, in numbers
minutes   what a process has counted in each of the last minutes
wishes    what user code requests for one response
reasons   every reason not to store or look up, in one table
asgi      ASGI's types, and our slots in a scope
"""
