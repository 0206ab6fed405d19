"""The command line. Knows what users see of a cache, and nothing of requests.

arguments  the arguments of all commands
acting     commands that act on a store
places     what a command acts on: the caches of an app, or a store by its URL
reporting  the report on the routes of an app
printing   tables, blocks and JSON
ending     the codes with which a command ends
"""
