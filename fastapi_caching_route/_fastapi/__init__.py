"""Everything about the inside of FastAPI that this package relies on, and nothing else does.

FastAPI changes its internals often. What is used of them, for 0.115 up to the newest: `APIRoute.dependant` (or, since
`include_router()` no longer copies routes, the effective route in the scope), the fields of `Dependant`,
`get_dependant()`, `request_params_to_args()`, and Starlette's exception handlers in the scope.
"""
