"""Entries, and what invalidates them. Knows neither requests, messages, routes nor the framework.

opening       which store a backend gets
by_url        which backend a URL describes
deferred      a store whose backend is set later
lock          one run of an endpoint at a time in all processes
variants      the record of the variants under a key
given         responses that user code stores itself
local         a store that is a table of this process
remote        a store over a backend that may be slow or down
listing       what is stored, page by page
at_once       look-ups that wait for nothing, in a store of this machine
copies        copies in this process, in front of a store that others share
remote_visit  what one request does there
soon          who sends pending invalidations: an event loop or a thread
parts         what all requests there share
debts         pending invalidations
withdrawals   keys whose entries the endpoint has withdrawn
ledger        invalidation for all processes, in stores that have journals
marks         the same in all other stores
moments       invalidation inside of one process
compressed    entries are compressed
wire          entries as bytes
heads         what is stored of an entry beside its body
latest        when this process has invalidated something last
ledgers       the protocol of what tells whether entries are alive
visit         the protocols and values of all of this
board         what processes that share a store publish for each other
condition     how a store is
own_tokens    tokens of one process
tokens        tokens that processes share, for locks
held_tokens   tokens that are held, and what is under their keys that does not expire
telling       observers are told of invalidations
"""
