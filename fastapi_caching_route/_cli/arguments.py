"""The arguments of all commands. Knows what they are called, and not what they do."""

import asyncio
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter

from fastapi_caching_route._cli.acting import act
from fastapi_caching_route._cli.ending import (
    CODES,
    INTERRUPTED,
    REFUSED,
    STORE_FAILED,
    WRONG_ARGUMENTS,
    Refusal,
)
from fastapi_caching_route._cli.places import imported
from fastapi_caching_route._cli.printing import (
    complain,
    escape_what_cannot_be_encoded,
    harmless,
    write_all,
)
from fastapi_caching_route._cli.reporting import report
from fastapi_caching_route._routes.listed import UnlistableError
from fastapi_caching_route.errors import CacheError, ConfigurationError

APP = 'the app, as for uvicorn: module:name; or a function that builds it'
URL = 'the store, like redis://10.0.0.1/0?namespace=shop; with an app, if its cache gets the store when it starts'


def run(arguments: list[str] | None = None) -> int:
    """Run a command; return the code with which it ends. Wrong arguments exit with a message."""
    parser = _parser()
    escape_what_cannot_be_encoded()
    try:
        code = _done(_parsed(parser, arguments))
        write_all()
    except KeyboardInterrupt:
        return INTERRUPTED
    except Refusal as refusal:
        if refusal.code == WRONG_ARGUMENTS:
            parser.error(harmless(str(refusal)))
        if str(refusal):
            complain(f'{parser.prog}: {refusal}')
        return refusal.code
    else:
        return code


def _parsed(parser: ArgumentParser, arguments: list[str] | None) -> Namespace:
    try:
        given, more = parser.parse_known_args(arguments)
    except SystemExit:
        write_all()  # the help
        raise
    if given.command == 'warm' and not any(it.startswith('-') for it in more):
        given.urls += more  # argparse takes no more of them after an option
    elif more:
        msg = f'unrecognized arguments: {" ".join(more)}'
        raise Refusal(msg, WRONG_ARGUMENTS)
    return given


def _done(given: Namespace) -> int:
    """Run the command.

    Raises:
        Refusal: it cannot be done.

    """
    try:
        if given.command == 'explain':
            return report(imported(given.app), as_json=given.json, check=given.check)
        return asyncio.run(act(given))
    except UnlistableError as error:
        raise Refusal(str(error), REFUSED) from None
    except ConfigurationError as error:
        raise Refusal(str(error), WRONG_ARGUMENTS) from None
    except CacheError as error:
        raise Refusal(str(error), STORE_FAILED) from None


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog='fastapi-caching-route',
        description='Look at what a cache does, and act on what it has stored.',
        epilog=CODES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest='command', required=True)
    explaining = commands.add_parser('explain', help='show how each route of an app is cached')
    explaining.add_argument('app', help=APP)
    explaining.add_argument('--check', action='store_true', help='end with 1 if there are warnings')
    _json(explaining)
    _on_store(commands.add_parser('stats', help='show what all workers have counted'))
    _listing(_on_store(commands.add_parser('entries', help='list what is stored, without bodies')))
    showing = commands.add_parser('show', help='show what is stored for the path of a URL')
    showing.add_argument('address', metavar='URL', help='a path, or a whole URL')
    _on_store(showing)
    _invalidating(_on_store(commands.add_parser('invalidate', help='invalidate what is stored')))
    _warming(commands.add_parser('warm', help='send requests through an app, so that their responses are stored'))
    return parser


def _count(text: str) -> int:
    """A number of things.

    Raises:
        ArgumentTypeError: it is none.

    """
    if not (text.isascii() and text.isdecimal() and int(text)):
        msg = f'must be a whole number, and at least 1, not {text!r}'
        raise ArgumentTypeError(msg)
    return int(text)


def _json(parser: ArgumentParser) -> None:
    parser.add_argument('--json', action='store_true', help='print JSON, for programs')


def _on_store(parser: ArgumentParser) -> ArgumentParser:
    parser.add_argument('app', nargs='?', help=f'{APP}; it may be left out with --url')
    parser.add_argument('--url', help=URL)
    _json(parser)
    return parser


def _listing(parser: ArgumentParser) -> None:
    parser.add_argument('--route', help='those of this path template')
    parser.add_argument('--path', help='those of this path')
    parser.add_argument('--tag', help='those with this tag')
    parser.add_argument('--dead', action='store_true', help='also those that were invalidated')
    parser.add_argument('--limit', type=_count, default=1000, help='how many at most (1000)')


def _invalidating(parser: ArgumentParser) -> None:
    for what in ('tag', 'path', 'endpoint', 'namespace'):
        parser.add_argument(f'--{what}', action='append', default=[], help='may be given several times')
    parser.add_argument('--all', action='store_true', help='everything')
    parser.add_argument('--prefix', action='store_true', help='with --path: also all paths below it')
    parser.add_argument('--soft', action='store_true', help='make stale, where there is a stale window')


def _warming(parser: ArgumentParser) -> None:
    parser.add_argument('app', help=APP)
    parser.add_argument('urls', metavar='URL', nargs='*', help='a path with its query, or a whole URL')
    parser.add_argument('--file', help='a file with one URL in each line')
    parser.add_argument('--concurrency', type=_count, default=8, help='how many requests run at a time (8)')
    parser.add_argument('--header', action='append', default=[], help="'name: value', for all requests")
    parser.add_argument('--base-url', default='http://localhost', help='scheme and host of the requests')
    parser.add_argument('--url', help=URL)
    _json(parser)
