"""HTTP and nothing else: values in, verdicts out.

Header names are lower-case `bytes`; points in time and spans are seconds. Nothing in here awaits, reads a clock or
imports the rest of the package.

storing         whether a response may be stored, and what of it
freshness       how long a response is fresh, and how old it is
terms           on which terms the responses of a route are stored
structured      CDN-Cache-Control
sending         whether a server can send a response
reuse           whether a stored response may answer
coding          which of two representations a request gets, if one is compressed
representation  what a request gets of a stored response
ranges          one range
conditional     preconditions and validators
dates           HTTP dates
cache_status    Cache-Status
cache_control   Cache-Control as it is read
fields          headers of a message
"""
