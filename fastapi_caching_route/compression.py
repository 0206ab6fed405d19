"""`Compression`: responses that are kept compressed, and sent as they are kept."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from typing_extensions import Doc

from fastapi_caching_route._core.checks import check_positive
from fastapi_caching_route._core.codings import NEEDED, coder_of
from fastapi_caching_route.errors import ConfigurationError

Coding = Literal['zstd', 'br', 'gzip']


@dataclass(frozen=True)
class Compression:
    """Keep responses compressed, in every store, and send them as they are kept to all clients that accept that.

        FastAPICache(compress=Compression('gzip'))
        FastAPICache('redis://10.0.0.1', compress=Compression('zstd', min_size=4096))

    The first response is sent as the endpoint made it. Behind it, its body is compressed once, in a thread if it is
    large. From then on, clients that accept the coding (RFC 9110 §12.5.3) get it with `Content-Encoding` and an ETag of
    its own, and others get the body decoded. `gzip` needs nothing else; `br` and `zstd` need the extra `compression`,
    and `zstd` only below Python 3.14.

    Only text, JSON and the like are compressed: neither images nor archives, nor what has a Content-Encoding or
    `Cache-Control: no-transform` (RFC 9111 §5.2.2.6).

    Raises:
        ConfigurationError: there is no such coding, its library is not installed, or `min_size` is not positive.

    """

    coding: Annotated[Coding, Doc('The content coding: `zstd`, `br` (brotli) or `gzip`.')]
    min_size: Annotated[int, Doc('Bytes from which on a body is compressed.')] = 1024

    def __post_init__(self) -> None:
        """Check the values."""
        if self.coding not in get_args(Coding):
            msg = f'Compression takes one of {", ".join(map(repr, get_args(Coding)))}, got {self.coding!r}'
            raise ConfigurationError(msg)
        if coder_of(self.coding) is None:
            msg = (
                f'Compression({self.coding!r}) needs {NEEDED[self.coding]}: '
                "pip install 'fastapi-caching-route[compression]'"
            )
            raise ConfigurationError(msg)
        check_positive('min_size', self.min_size)
