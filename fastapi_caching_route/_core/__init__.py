"""Our own nouns, pure: no await, clock, chance, logging, framework or stores. Knows only errors and HTTP.

checks    values of options
declared  what a route declares, for one request
labels    how a response came about, as response headers
variants  request headers that select one of the responses under a key
names     the names by which entries are invalidated
key       cache keys
inputs    the parts of a request that a route reads
form      multipart forms, independent of their boundaries
recorder  the messages of a response, copied as they pass
entry     a stored response
written   response headers that dependencies and the endpoint write
counts    what a route has done, in numbers
wishes    what user code requests for one response
reasons   every reason not to store or look up, in one table
asgi      ASGI's types, and our slots in a scope
"""
