"""The route class of the console: what all of its responses say, and which requests other sites may not send.

The guards are the user's own dependencies. These checks run before them.
"""

from collections.abc import MutableMapping
from typing import Any

from fastapi.routing import APIRoute
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Nothing inline, nothing from elsewhere, and no text that becomes markup."""

OF_ALL = {
    'cache-control': 'no-store',
    'content-security-policy': POLICY,
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
}
"""The headers of all responses, also of those of the guards."""


class ConsoleRoute(APIRoute):
    """A route of the console. It is no `CachingRoute`, whatever the class of the router that includes it."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request, unless another site has sent it."""

        async def with_headers(message: Message) -> None:
            if message['type'] == 'http.response.start':
                headers = MutableHeaders(raw=list(message.get('headers', ())))
                for name, value in OF_ALL.items():
                    headers[name] = value
                message = {**message, 'headers': headers.raw}
            await send(message)

        if comes_from_elsewhere(scope):
            refusal = PlainTextResponse('another site has sent this request', 403)
            await refusal(scope, receive, with_headers)
            return
        if scope['method'] not in (self.methods or ()):
            allowed = {'allow': ', '.join(sorted(self.methods or ()))}
            await PlainTextResponse('Method Not Allowed', 405, allowed)(scope, receive, with_headers)
            return
        await super().handle(scope, receive, with_headers)


def comes_from_elsewhere(scope: MutableMapping[str, Any]) -> bool:
    """Whether a browser says that a page of another origin has sent this request.

    Browsers say it by Sec-Fetch-Site, and by Origin, where the console is not served by HTTPS. Pages of other origins
    can leave out neither. A link is allowed to open the console; scripts send none of these headers.
    """
    headers = Headers(scope=scope)
    site, origin = headers.get('sec-fetch-site'), headers.get('origin')
    is_link = headers.get('sec-fetch-mode') == 'navigate' and headers.get('sec-fetch-dest') == 'document'
    if is_link and scope['method'] == 'GET':
        return False
    if site is not None:
        return site not in {'same-origin', 'none'}
    return origin is not None and not _is_own(origin, headers.getlist('host'))


def _is_own(origin: str, hosts: list[str]) -> bool:
    """Whether an origin is the one of this host. Its scheme is not known behind a proxy."""
    _, separator, host = origin.partition('://')
    return separator != '' and hosts == [host]
