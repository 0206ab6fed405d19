"""Content codings (RFC 9110 §8.4.1): bodies compressed by a library, and back. Knows bytes and libraries.

What is decoded may come from a store that others can write to: it is never larger than was said before.
"""

import zlib
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any

from msgspec import Struct

LEVELS = {'zstd': 3, 'br': 5, 'gzip': 6}
"""Where more effort makes text a few percent smaller, and takes several times as long."""

NEEDED = {'zstd': "'zstandard>=0.22', or Python 3.14", 'br': "'brotli>=1.2'"}
"""What has to be installed for a coding. Older releases of brotli cannot bound what they decode (CVE-2025-6176)."""

CODINGS = ('zstd', 'br', 'gzip')

LARGEST_WINDOW = 2**23
"""Bytes of a zstd body that a decoder has to remember, at most (RFC 9659)."""

GZIP = 31
"""How zlib is told to write and to read the header of gzip (RFC 1952); it says nothing of the time."""

BLOCK_HEADER, CHECKSUM = 3, 4
"""Bytes before each block of a zstd frame, and behind the last one if the frame has a checksum."""


class UndecodableError(ValueError):
    """The content is not what it is said to be, or its library is not installed."""


class Coder(Struct, frozen=True):
    """How a coding is made and read."""

    encode: Callable[[bytes], bytes]
    decode: Callable[[bytes, int], bytes]
    """Decodes content, up to so many bytes."""
    error: type[Exception]
    """What it raises if it cannot."""


@lru_cache
def coder_of(coding: str) -> Coder | None:
    """The coder of a coding; None if there is no such coding, or its library is not installed."""
    match coding:
        case 'gzip':
            return Coder(_gzipped, _gunzipped, zlib.error)
        case 'br':
            return _of_brotli(_module('brotli'))
        case 'zstd':
            return _of_python(_module('compression.zstd')) or _of_zstandard(_module('zstandard'))
        case _:
            return None


def encoded(coding: str, body: bytes) -> bytes:
    """The body in this coding, whose library is installed."""
    coder = coder_of(coding)
    assert coder is not None
    return coder.encode(body)


def decoded(coding: str, content: bytes, size: int) -> bytes:
    """The body of so many bytes in this coding. No more than that is ever decoded.

    Raises:
        UndecodableError: it has another size, is broken, or its library is not installed.

    """
    coder = coder_of(coding)
    if coder is None:
        raise UndecodableError(coding)
    try:
        body = coder.decode(content, size + 1)
    except (EOFError, coder.error) as error:
        raise UndecodableError(coding) from error
    if len(body) != size:
        raise UndecodableError(coding)
    return body


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


def _gzipped(body: bytes) -> bytes:
    compressor = zlib.compressobj(LEVELS['gzip'], zlib.DEFLATED, GZIP)
    return compressor.compress(body) + compressor.flush()


def _gunzipped(content: bytes, most: int) -> bytes:
    decompressor = zlib.decompressobj(GZIP)
    body = decompressor.decompress(content, most)
    if not decompressor.eof or decompressor.unused_data:  # its checksum has not been read, or more follows
        raise UndecodableError
    return body


def _of_brotli(brotli: Any) -> Coder | None:
    if not hasattr(getattr(brotli, 'Decompressor', None), 'can_accept_more_data'):
        return None

    def decode(content: bytes, most: int) -> bytes:
        decompressor, body = brotli.Decompressor(), bytearray()
        body += decompressor.process(content, output_buffer_limit=most)
        while len(body) < most and not decompressor.is_finished():
            more = decompressor.process(b'', output_buffer_limit=most - len(body))
            if not more:
                break
            body += more
        if not decompressor.is_finished():
            raise UndecodableError
        return bytes(body)

    return Coder(lambda body: bytes(brotli.compress(body, quality=LEVELS['br'])), decode, brotli.error)


def _of_python(zstd: Any) -> Coder | None:
    """The coder of `compression.zstd`, which Python has from 3.14 on."""
    if zstd is None:
        return None
    options = {zstd.DecompressionParameter.window_log_max: LARGEST_WINDOW.bit_length() - 1}

    def decode(content: bytes, most: int) -> bytes:
        decompressor = zstd.ZstdDecompressor(options=options)
        body = decompressor.decompress(content, max_length=most)
        if not decompressor.eof or decompressor.unused_data:
            raise UndecodableError
        return bytes(body)

    return Coder(lambda body: bytes(zstd.compress(body, level=LEVELS['zstd'])), decode, zstd.ZstdError)


def _of_zstandard(zstandard: Any) -> Coder | None:
    if zstandard is None:
        return None

    def encode(body: bytes) -> bytes:
        return bytes(zstandard.ZstdCompressor(level=LEVELS['zstd']).compress(body))

    def decode(content: bytes, most: int) -> bytes:
        if _end_of_frame(zstandard, content) != len(content):
            raise UndecodableError
        # Not `decompress`: it allocates as much as the content itself says.
        decompressor = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW)
        with decompressor.stream_reader(content) as reader:
            return bytes(reader.read(most))

    return Coder(encode, decode, zstandard.ZstdError)


def _end_of_frame(zstandard: Any, content: bytes) -> int:
    """Where the first frame of zstd ends, by the sizes of its blocks (RFC 8878 §3.1.1)."""
    at, is_last = zstandard.frame_header_size(content), False
    while not is_last and at < len(content):
        block = int.from_bytes(content[at : at + BLOCK_HEADER], 'little')
        is_last, is_one_byte = bool(block & 1), block >> 1 & 3 == 1
        at += BLOCK_HEADER + (1 if is_one_byte else block >> 3)
    return int(at) + (CHECKSUM if zstandard.get_frame_parameters(content).has_checksum else 0)
