"""Everything about the inside of FastAPI that this package relies on; no other subpackage does.

FastAPI changes its internals often. We use these, from 0.115 to the newest release: `APIRoute.dependant` (or, since
`include_router()` no longer copies routes, the effective route in the scope), the fields of `Dependant`,
`get_dependant()`, `request_params_to_args()`, `solve_dependencies()`, the exit stacks, and Starlette's exception
handlers in the scope. Knows neither stores, backends, exchanges nor plans.

declared      the declarations of a route, with dependency overrides applied
admission     dependencies that run without the route
solving       dependencies that run without a request handler
compiled      simple dependencies in steps that are worked out once
reading       their parameters, read in fewer steps
extended      the handler of a route with additional dependencies
early_values  values of dependencies that ran before the key was made
option_dependencies  dependencies that give the identity or the tags
read_steps    dependencies around guards whose reads do not count
write_log     the response headers that each dependency writes
proceeding    the request continues where its guards have accepted it; what the handler of a route class sees of that
builder_inputs  the parts of a request that a route with a key builder reads
inputs        those of a route without one
nodes         the nodes whose inputs count, and the credentials of schemes
key_rules     the options of a route that affect its key
key_parts     the parameters and credentials in the key, and how each is read
security      security schemes, and the credentials that they read
parameters    query, header and cookie parameters as FastAPI reads them
plain         types whose values run no user code
refusing      dependencies that refuse requests, found in their source
schemas       response models as text
writing       endpoints wrapped so that a function runs after them
path_values   path parameters after validation
own           the dependencies that this package offers
documenting   OpenAPI of cached routes
likeness      whether two apps hold the same
serving       all routes of an app, and those at a path
handlers      the user's exception handlers, which get requests that note what is read
noting        requests that note what user code reads of them
noted_scope   the scope of such a request
noted_values  its headers, query, cookies, URL and state
callers       the code that reads an attribute, and what it does with it
limits        limits of request bodies
ending        functions that FastAPI calls when a request ends
plain_requests  requests that reach plain routes, for a while
effective     the route as a request reached it
endpoints     endpoints of every kind: attach, find, name
"""
