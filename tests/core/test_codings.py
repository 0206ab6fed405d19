"""Content codings: what is decoded is what was encoded, or nothing; and never more than was said."""

import gzip
import random
import sys
import tracemalloc
import zlib

import pytest

from fastapi_caching_route import Compression, ConfigurationError
from fastapi_caching_route._core import codings
from fastapi_caching_route._core.codings import CODINGS, UndecodableError, coder_of, decoded, encoded

BODY = b'some text that is repeated; ' * 1000


@pytest.fixture(params=CODINGS)
def coding(request):
    return request.param


@pytest.mark.parametrize('body', [b'', b'x', BODY, bytes(range(256)) * 100], ids=['empty', 'short', 'long', 'odd'])
def test_what_is_encoded_can_be_decoded(coding, body):
    assert decoded(coding, encoded(coding, body), len(body)) == body


def test_the_same_body_is_encoded_the_same_each_time(coding):
    assert encoded(coding, BODY) == encoded(coding, BODY)


def test_gzip_is_read_by_others():
    assert gzip.decompress(encoded('gzip', BODY)) == BODY


@pytest.mark.parametrize('wrong', [0, len(BODY) - 1, len(BODY) + 1, 10 * len(BODY)])
def test_content_of_another_size_than_was_said_is_not_decoded(coding, wrong):
    with pytest.raises(UndecodableError):
        decoded(coding, encoded(coding, BODY), wrong)


def test_content_that_is_cut_anywhere_is_not_decoded(coding):
    content = encoded(coding, BODY)
    for end in {0, 1, 5, len(content) // 2, len(content) - 5, len(content) - 1}:
        with pytest.raises(UndecodableError):
            decoded(coding, content[:end], len(BODY))


def test_content_that_is_no_such_coding_is_not_decoded(coding):
    for content in (b'', b'\0' * 100, BODY, *(encoded(it, BODY) for it in CODINGS if it != coding)):
        with pytest.raises(UndecodableError):
            decoded(coding, content, len(BODY))


def test_a_bomb_takes_no_more_memory_than_was_said(coding):
    bomb = encoded(coding, b'\0' * 50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(UndecodableError):
            decoded(coding, bomb, 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_what_follows_the_end_is_not_decoded(coding):
    for more in (b'more', b'\0', b'\x28', encoded(coding, b'more'), encoded(coding, b'')):
        with pytest.raises(UndecodableError):
            decoded(coding, encoded(coding, BODY) + more, len(BODY))


@pytest.mark.skipif(sys.version_info >= (3, 14), reason='there, another decoder is used')
def test_zstd_with_a_checksum_and_blocks_of_all_kinds_is_decoded():
    import zstandard  # noqa: PLC0415, only there

    body = random.Random(1).randbytes(300_000) + bytes(300_000) + BODY * 20
    content = zstandard.ZstdCompressor(write_checksum=True).compress(body)
    assert decoded('zstd', content, len(body)) == body
    with pytest.raises(UndecodableError):
        decoded('zstd', content + b'more', len(body))


def test_gzip_whose_checksum_is_wrong_is_not_decoded():
    content = bytearray(encoded('gzip', BODY))
    content[-8] ^= 1
    with pytest.raises(UndecodableError):
        decoded('gzip', bytes(content), len(BODY))


@pytest.mark.skipif(sys.version_info >= (3, 14), reason='there, another decoder is used')
def test_zstd_that_a_browser_could_not_decode_is_not_decoded():
    import zstandard  # noqa: PLC0415, only there

    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    content = compressor.compress(BODY) + compressor.flush()
    with pytest.raises(UndecodableError):
        decoded('zstd', content, len(BODY))


def test_no_other_coding_is_known():
    for name in ('deflate', 'identity', 'gzip ', '', 'GZIP'):
        assert coder_of(name) is None
        with pytest.raises(UndecodableError):
            decoded(name, zlib.compress(BODY), len(BODY))


@pytest.fixture
def without_libraries(monkeypatch):
    monkeypatch.setattr(codings, '_module', lambda name: None)
    coder_of.cache_clear()
    yield
    coder_of.cache_clear()


@pytest.mark.parametrize(('name', 'package'), [('br', 'brotli'), ('zstd', 'zstandard')])
def test_a_coding_whose_library_is_missing_says_what_to_install(without_libraries, name, package):
    with pytest.raises(ConfigurationError, match=rf"{package}.*pip install 'fastapi-caching-route\[compression\]'"):
        Compression(name)


def test_gzip_needs_no_library(without_libraries):
    assert Compression('gzip').min_size == 1024


def test_a_brotli_that_cannot_bound_what_it_decodes_counts_as_none(monkeypatch):
    class Old:
        class Decompressor:
            def process(self, content):
                raise AssertionError('it must not be used')

    monkeypatch.setattr(codings, '_module', lambda name: Old if name == 'brotli' else None)
    coder_of.cache_clear()
    try:
        with pytest.raises(ConfigurationError, match=r'brotli>=1\.2'):
            Compression('br')
    finally:
        coder_of.cache_clear()


@pytest.mark.parametrize('wrong', ['deflate', 'GZIP', '', None, 7])
def test_another_coding_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="'zstd', 'br', 'gzip'"):
        Compression(wrong)


@pytest.mark.parametrize('wrong', [0, -1, '1', True, None])
def test_a_min_size_that_is_none_is_refused(wrong):
    with pytest.raises(ConfigurationError, match='min_size'):
        Compression('gzip', min_size=wrong)
