"""Everything about the inside of FastAPI that this package relies on; no other wing does.

FastAPI changes its internals often. What is used of them, from 0.115 to the newest release: `APIRoute.dependant` (or, since
`include_router()` no longer copies routes, the effective route in the scope), the fields of `Dependant`, `get_dependant()`,
`request_params_to_args()`, its exit stacks, and Starlette's exception handlers in the scope. Knows neither stores, backends,
exchanges nor plans.

declared      what a route declares, with the overrides of its dependencies
admission     dependencies that run without the route
extended      the handler of a route with more dependencies
early_values  values of dependencies that ran before the key
write_log     which response headers each dependency writes
inputs        everything that a route reads of a request
key_parts     the parameters and credentials in the key, and how each is read
security      security schemes, and the credentials that they read
parameters    query, header and cookie parameters as FastAPI reads them
plain         types whose values run no code of the user's
refusing      dependencies that refuse requests, by their source
schemas       response models as text
writing       endpoints wrapped so that something follows them
path_values   path parameters after validation
own           the dependencies that this package offers
documenting   OpenAPI of cached routes
serving       all routes of an app, and those at a path
handlers      the user's exception handlers, watched
limits        limits of request bodies
ending        what happens when FastAPI ends a request
effective     the route as a request reached it
endpoints     endpoints of every kind: attach, find, name
"""
