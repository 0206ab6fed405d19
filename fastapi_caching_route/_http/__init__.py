"""HTTP and nothing else: values in, verdicts out.

Header names are lower-case `bytes`; points in time and spans are seconds. Nothing in this wing awaits, reads a clock or
imports the rest of the package.
"""
