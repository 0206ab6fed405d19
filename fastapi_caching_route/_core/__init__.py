"""Our own nouns, pure: no await, clock, chance, logging, framework or stores. Knows only errors and HTTP.

checks    values of options
declared  what a route declares, for one request
labels    how a response came about, as response headers
variants  which request headers tell the responses under one key apart
names     what entries are invalidated by
key       what finds an entry
inputs    what a route reads of a request
form      multipart forms, whatever their boundary
recorder  the messages of a response, copied as they pass
entry     a stored response
written   response headers, with who has written them
wishes    what user code says about one response
reasons   every reason not to store or look up, in one table
asgi      ASGI's types, and our slots in a scope
"""
