"""`LMDBCache`: a cache of aiocache that behaves as the others do, in a folder of its own."""

import asyncio
import logging
import math
import os
import subprocess
import sys
import time

import pytest
from aiocache.plugins import HitMissRatioPlugin
from aiocache.serializers import JsonSerializer, NullSerializer, PickleSerializer

from fastapi_caching_route import ConfigurationError, FastAPICache, LMDBCache, MemoryCache
from fastapi_caching_route._backends import lmdb_folder
from fastapi_caching_route._backends.lmdb_table import MAX_KEY
from tests.support import caching_router, client_of, marks

MB = 1024 * 1024


@pytest.fixture
def folder(tmp_path):
    return tmp_path / 'store'


@pytest.fixture(params=['memory', 'lmdb'])
def new_cache(request, folder):
    """What holds for `MemoryCache` holds for `LMDBCache`, too."""

    def now():
        return time.time()  # as the test has set it

    if request.param == 'memory':
        return lambda **options: MemoryCache(**{'clock': now, **options})
    return lambda **options: LMDBCache(folder, **options)


async def test_it_is_a_cache_of_aiocache(new_cache, later):
    cache = new_cache(namespace='ns', ttl=10, serializer=JsonSerializer())
    assert await cache.set('a', {'b': 1}) is True
    assert await cache.get('a') == {'b': 1}
    assert await cache.multi_set([('b', 2), ('c', 3)], ttl=5) is True
    assert await cache.multi_get(['a', 'b', 'x']) == [{'b': 1}, 2, None]
    assert await cache.add('d', 4) is True
    with pytest.raises(ValueError, match='already exists'):
        await cache.add('d', 5)
    assert [await cache.exists(key) for key in ('d', 'x')] == [True, False]
    assert await cache.delete('d') == 1
    assert await cache.delete('d') == 0
    assert await cache.expire('a', 60) is True
    assert await cache.expire('x', 60) is False
    later(6)
    assert await cache.get('b') is None
    assert await cache.exists('b') is False
    assert await cache.add('b', 1) is True
    assert await cache.clear(namespace='other') is True
    assert await cache.get('a') == {'b': 1}
    assert await cache.clear(namespace='ns') is True
    assert await cache.get('a') is None
    await cache.set('a', 1)
    assert await cache.clear() is True
    assert await cache.get('a') is None
    with pytest.raises(NotImplementedError, match='get'):
        await cache.raw('get', 'a')
    await cache.close()
    await cache.set('a', 2)
    assert await cache.get('a') == 2


async def test_it_counts_as_aiocache_does(new_cache, later):
    cache = new_cache()
    assert [await cache.increment('n'), await cache.increment('n', 4), await cache.increment('n', -2)] == [1, 5, 3]
    await cache.set('t', 1, ttl=60)
    await cache.increment('t')
    assert await cache.get('t') == 2
    later(61)
    assert await cache.get('t') is None
    await cache.set('word', 'x')
    with pytest.raises(TypeError, match='not an integer'):
        await cache.increment('word')


async def test_it_compares_and_sets(new_cache):
    cache = new_cache(serializer=NullSerializer())
    await cache.set('a', 'old')
    assert await cache._set('a', 'new', _cas_token='other') == 0
    assert await cache._set('a', 'new', _cas_token='old') == 1
    assert await cache._redlock_release('a', 'other') == 0
    assert await cache._redlock_release('a', 'new') == 1


@pytest.mark.parametrize('ttl', [math.inf, None, 0])
async def test_a_span_without_end_has_none(new_cache, ttl):
    cache = new_cache(serializer=JsonSerializer())
    await cache.set('a', 1, ttl=ttl)
    assert await cache.get('a') == 1


async def test_bytes_are_given_back_as_they_were(folder):
    cache = LMDBCache(folder, serializer=PickleSerializer())
    for value in (b'', b'\0' * 100_000, {'a': (1, 2)}):
        await cache.set('a', value)
        assert await cache.get('a') == value


async def test_what_is_neither_bytes_nor_text_is_refused(folder):
    cache = LMDBCache(folder, serializer=NullSerializer())
    with pytest.raises(TypeError, match='serializer must not return dict'):
        await cache.set('a', {})
    assert await cache.set('a', bytearray(b'text'))
    assert await cache.get('a') == 'text'


async def test_a_key_may_have_any_length(folder):
    cache = LMDBCache(folder)
    keys = ['', 'a:'.ljust(MAX_KEY, 'a'), 'a:' + 'a' * MAX_KEY, 'a:' + 'a' * MAX_KEY + 'b', 'a:' + 'a' * 10_000]
    for number, key in enumerate(keys):
        await cache.set(key, number)
    assert await cache.multi_get(keys) == [0, 1, 2, 3, 4]
    await cache.clear(namespace='a')
    assert await cache.multi_get(keys) == [0, None, None, None, None]


async def test_what_is_larger_than_a_quarter_of_all_is_not_stored(folder):
    cache = LMDBCache(folder, max_bytes=MB, serializer=NullSerializer())
    assert await cache.set('small', 'x')
    assert await cache.set('large', 'x' * (MB // 4 + 1)) is False
    assert await cache._add('large', 'x' * (MB // 4 + 1)) is False
    assert await cache.get('large') is None
    assert await cache.get('small') == 'x'


async def test_two_objects_with_one_folder_share_what_is_stored(folder):
    one, other = LMDBCache(folder, namespace='a:'), LMDBCache(str(folder), namespace='b:')
    await one.set('k', 1)
    assert await other.get('k') is None
    assert await other.get('k', namespace='a:') == 1
    await one.close()
    assert await other.get('k', namespace='a:') == 1


async def test_an_object_that_is_gone_does_not_keep_the_next_one_from_the_folder(folder):
    for number in range(5):
        await LMDBCache(folder).set(str(number), number)
    assert await LMDBCache(folder).multi_get(['0', '4']) == [0, 4]


def test_one_object_serves_one_event_loop_after_the_other(folder):
    cache = LMDBCache(folder)
    asyncio.run(cache.set('a', 1, ttl=60))
    assert asyncio.run(cache.get('a')) == 1


def test_its_plugins_hear_of_our_commands(folder):
    backend = LMDBCache(folder, plugins=[HitMissRatioPlugin()])
    cache, router = FastAPICache(backend), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 1

    with client_of(router) as client:
        assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
    assert backend.hit_miss_ratio['hits'] >= 1


# Where it is


def test_the_default_folder_is_the_same_in_each_process_of_a_user_and_a_working_folder(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(lmdb_folder, 'TMPFS', str(tmp_path))
    with caplog.at_level(logging.INFO):
        paths = [LMDBCache(max_bytes=MB).path for _ in range(2)]
    assert paths[0] == paths[1]
    assert paths[0].parent == tmp_path
    assert str(os.getuid()) in paths[0].name
    assert f'LMDBCache uses the folder {paths[0]}' in caplog.messages
    (tmp_path / 'other').mkdir()
    monkeypatch.chdir(tmp_path / 'other')
    assert LMDBCache(max_bytes=MB).path != paths[0]


def test_another_process_has_the_same_default_folder():
    code = 'from fastapi_caching_route._backends.lmdb_folder import default_folder as it; print(it(1), it(2**60))'
    said = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout  # noqa: S603
    assert said.split() == [str(lmdb_folder.default_folder(it)) for it in (1, 2**60)]


@pytest.mark.parametrize('is_missing', [True, False])
def test_without_a_file_system_in_memory_it_is_among_the_temporary_files(tmp_path, monkeypatch, is_missing):
    monkeypatch.setattr(lmdb_folder, 'TMPFS', str(tmp_path / 'none') if is_missing else '/dev/shm')  # noqa: S108
    monkeypatch.setattr(lmdb_folder.tempfile, 'gettempdir', lambda: str(tmp_path / 'temporary'))
    assert lmdb_folder.default_folder(2**60).parent == tmp_path / 'temporary'


def test_a_missing_folder_is_made_for_its_owner_only(folder):
    LMDBCache(folder / 'in' / 'it')
    assert (folder / 'in' / 'it').stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_use_is_refused(folder):
    folder.mkdir(mode=0o755)
    with pytest.raises(ConfigurationError, match=r'others may use it \(mode 0755\). Run: chmod 700'):
        LMDBCache(folder)


def test_a_symbolic_link_is_refused(tmp_path, folder):
    (tmp_path / 'other').mkdir(mode=0o700)
    folder.symlink_to(tmp_path / 'other')
    with pytest.raises(ConfigurationError, match='no symbolic link'):
        LMDBCache(folder)


def test_a_file_is_refused(folder):
    folder.write_text('')
    with pytest.raises(ConfigurationError, match='it must be a folder'):
        LMDBCache(folder)


@pytest.mark.skipif(os.getuid() != 0, reason='only root can give a folder away')
def test_the_folder_of_another_user_is_refused(folder):
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    with pytest.raises(ConfigurationError, match='it belongs to user 12345'):
        LMDBCache(folder)


@pytest.mark.parametrize('max_bytes', [0, 1000, True, '1 GB', 1e9])
def test_a_limit_that_makes_no_sense_is_refused(folder, max_bytes):
    with pytest.raises(ConfigurationError, match='max_bytes'):
        LMDBCache(folder, max_bytes=max_bytes)


def test_where_it_does_not_work_it_says_so_when_it_is_built(folder, monkeypatch):
    monkeypatch.setattr(lmdb_folder.sys, 'platform', 'win32')
    with pytest.raises(ConfigurationError, match='does not work on Windows'):
        LMDBCache(folder)


def test_where_a_killed_process_would_keep_the_lock_it_warns(folder, monkeypatch, caplog):
    LMDBCache(folder)
    assert 'macOS' not in caplog.text
    monkeypatch.setattr(lmdb_folder.sys, 'platform', 'darwin')
    LMDBCache(folder)
    assert 'LMDBCache is not for production on macOS' in caplog.text


def test_without_lmdb_it_can_be_imported_and_says_what_to_install():
    code = (
        'import sys; sys.modules["lmdb"] = None\n'
        'from fastapi_caching_route import ConfigurationError, LMDBCache\n'
        'try: LMDBCache()\n'
        'except ConfigurationError as error: print(error)\n'
    )
    said = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout  # noqa: S603
    assert 'extra `lmdb` of fastapi-caching-route' in said
