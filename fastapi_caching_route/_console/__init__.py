"""The console: a page that shows what a cache does, and acts on it. Knows caches as users do.

asking     what would become of one URL
acting     invalidation
listing    what is stored, without what is not for everybody
counting   statistics, and the reports on routes
ending     whether the server ends
guarding   the route class of the console: headers, and requests that other sites have sent
messages   JSON, and bodies of a bounded size
"""
