"""HTTP and nothing else: values in, verdicts out.

Header names are lower-case ``bytes``; moments and spans are seconds. Nothing in this folder awaits, reads a clock or
imports the rest of the package.
"""
