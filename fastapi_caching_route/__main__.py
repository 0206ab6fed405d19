"""`python -m fastapi_caching_route`, the same as `fastapi-caching-route`: the command line."""

import sys

from fastapi_caching_route._cli.arguments import run


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return the code with which it ends. Wrong arguments exit with a message."""
    return run(arguments)


if __name__ == '__main__':
    sys.exit(main())
