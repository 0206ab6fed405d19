"""Flights, pauses, background tasks. A leaf: imports nothing else of this package.

flights    one run of an endpoint for many requests
pauses     keys that are left alone for a while
tasks      background tasks
observers  plain functions that get a record of everything that happens
lateness   time during which the event loop itself was late
context_variables  context variables that middleware has set for a request
workers    whether this process is one of several workers
"""
