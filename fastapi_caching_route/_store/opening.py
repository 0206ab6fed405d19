"""Which store a backend of aiocache gets, and why."""

import time
from collections.abc import Callable, Sequence
from functools import partial

from aiocache.backends.memory import SimpleMemoryBackend, SimpleMemoryCache

from fastapi_caching_route._backends.aiocache import BaseCache
from fastapi_caching_route._backends.clients import can_prolong
from fastapi_caching_route._backends.drivers import AiocacheDriver, Driver, has_journals
from fastapi_caching_route._backends.in_process import InProcessDriver
from fastapi_caching_route._backends.linked import LinkedBackend
from fastapi_caching_route._backends.lmdb_driver import LMDBDriver
from fastapi_caching_route._backends.outage import shown
from fastapi_caching_route._concurrency.observers import AllObservers
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.key import full_key, root_of
from fastapi_caching_route._store.at_once import LookUpAtOnce
from fastapi_caching_route._store.copies import Copies, LookUpNear
from fastapi_caching_route._store.debts import debts_to
from fastapi_caching_route._store.ledger import JournalLedger
from fastapi_caching_route._store.ledgers import Ledger
from fastapi_caching_route._store.local import LocalStore
from fastapi_caching_route._store.marks import Marks
from fastapi_caching_route._store.moments import MomentsLedger, moments_of
from fastapi_caching_route._store.own_tokens import tokens_of
from fastapi_caching_route._store.parts import Parts
from fastapi_caching_route._store.remote import RemoteStore
from fastapi_caching_route._store.visit import LookUp, Store
from fastapi_caching_route._store.wire import Wire
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.lmdb import LMDBCache
from fastapi_caching_route.memory import MemoryCache
from fastapi_caching_route.near import NearCopies

PROBE, PROBES = '%probe', 32
"""The keys of probes. A cluster spreads them over its nodes, so there must be several."""


OF_CLIENTS = {
    **dict.fromkeys(('redis', 'valkey'), 'RedisClientCache(client), from fastapi_caching_route.redis'),
    'aiomcache': 'aiocache.MemcachedCache(endpoint=..., port=...)',
}
"""Packages of clients, and the backends that use them."""


def checked_backend(backend: object) -> BaseCache:
    """Return the backend.

    Raises:
        ConfigurationError: it is not a cache of aiocache, or its ttl is negative.

    """
    if not isinstance(backend, BaseCache):
        client = type(backend).__module__.partition('.')[0]
        hint = f'; for a client, use {OF_CLIENTS[client]}' if client in OF_CLIENTS else ''
        wanted = 'a cache of aiocache, such as MemoryCache() or RedisCache(...)'
        msg = f'FastAPICache takes {wanted}, got {shown(backend)}{hint}'
        raise ConfigurationError(msg)
    if backend.ttl is not None and not backend.ttl >= 0:
        msg = f'the ttl of the backend is in seconds and must not be negative, got {backend.ttl!r}'
        raise ConfigurationError(msg)
    return backend


def store_over(
    backend: BaseCache,
    timeout: float,
    signing_keys: Sequence[bytes] = (),
    *,
    near: NearCopies | None = None,
    clock: Callable[[], float] = time.time,
) -> Store:
    """The store for a backend. A request waits at most `timeout` seconds for it.

    If there are signing keys, entries that leave the process are signed with the first of them, and only entries that
    are signed with one of them are used. With `near`, copies of entries are kept in this process, unless the backend
    answers at once anyway; the clock is that of the entries.
    """
    if isinstance(backend, LMDBCache):
        return _on_this_machine(backend, timeout, Wire(signing_keys, root_of(backend.namespace)))
    match (_is_inside(backend), _has_own_code(backend)):
        case (False, _):
            root = root_of(backend.namespace)
            new_driver = partial(AiocacheDriver, backend, Wire(signing_keys, root))
            shared = JournalLedger(root) if has_journals(backend) else Marks(root, prolongs=can_prolong(backend))
            copies = None if near is None else Copies(near.max_bytes, near.trust, clock)
            parts = _parts(backend, new_driver, shared, timeout, copies)
            trusts = copies is not None and near is not None and near.trust > 0
            at_once = LookUpNear(copies, shared, parts).look_up if copies is not None and trusts else None
            return _store(backend, parts, is_shared=True, at_once=at_once)
        case (True, False):
            return LocalStore(backend, moments_of(backend))
        case _:
            # A table in this process, but the user's code runs with each command (a subclass, plugins, a `build_key`),
            # and may wait or fail. So it is asked like a remote backend, with time-outs and a breaker. Still, it loses
            # nothing and keeps the order of commands: moments replace marks, and objects need no codec.
            ledger = MomentsLedger(moments_of(backend))
            return _remote(backend, partial(InProcessDriver, backend), ledger, timeout, is_shared=False)


def _is_inside(backend: BaseCache) -> bool:
    """Whether a backend keeps its values in the memory of this process."""
    return isinstance(backend, (SimpleMemoryBackend, MemoryCache))


def _has_own_code(backend: BaseCache) -> bool:
    """Whether the user's code runs with each command: a subclass, plugins, or another `build_key`."""
    is_known = type(backend) in (LMDBCache, MemoryCache, SimpleMemoryBackend, SimpleMemoryCache)
    builds_keys = backend.build_key != backend._build_key  # noqa: SLF001, there is no other way to ask
    return not is_known or bool(backend.plugins) or builds_keys


def _remote(
    backend: BaseCache, new_driver: Callable[[], Driver], ledger: Ledger, timeout: float, *, is_shared: bool
) -> RemoteStore:
    return _store(backend, _parts(backend, new_driver, ledger, timeout), is_shared=is_shared)


def _store(backend: BaseCache, parts: Parts, *, is_shared: bool, at_once: LookUp | None = None) -> RemoteStore:
    return RemoteStore(
        parts,
        namespace=backend.namespace or '',
        ttl=backend.ttl,
        is_shared=is_shared,
        at_once=at_once,
        locks=None if is_shared else tokens_of(backend),
        can_lock=getattr(backend, 'adds_at_once', True),
    )


def _on_this_machine(backend: LMDBCache, timeout: float, wire: Wire) -> RemoteStore:
    """A store that other processes share, too, but whose reads wait for nobody."""
    driver, ledger = LMDBDriver(backend, wire), JournalLedger(root_of(backend.namespace))
    if _has_own_code(backend):
        return _remote(backend, partial(AiocacheDriver, backend, wire, driver), ledger, timeout, is_shared=True)
    linked = _linked(backend, lambda: driver, timeout, read_at_once=driver.read_at_once)
    linked.breaker.address = driver.address  # it may fail before there is a link
    parts = Parts(linked, ledger, debts_to(backend), timeout, evicting=_evicting(backend))
    at_once = LookUpAtOnce(driver, ledger, parts).look_up
    return _store(backend, parts, is_shared=True, at_once=at_once)


def _parts(
    backend: BaseCache,
    new_driver: Callable[[], Driver],
    ledger: Ledger,
    timeout: float,
    copies: Copies | None = None,
) -> Parts:
    linked, evicting = _linked(backend, new_driver, timeout), _evicting(backend)
    if copies is not None:
        evicting = (*evicting, copies.observers)
    return Parts(linked, ledger, debts_to(backend), timeout, copies, evicting=evicting)


def _evicting(backend: BaseCache) -> tuple[AllObservers, ...]:
    """Who is told of what this process evicts from a backend."""
    match backend:
        case LMDBCache():
            return (backend.store.writer.observers,)
        case MemoryCache():
            return (backend.observers,)
        case _:
            return ()


def _linked(
    backend: BaseCache,
    new_driver: Callable[[], Driver],
    timeout: float,
    *,
    read_at_once: Callable[[Sequence[str]], list[object]] | None = None,
) -> LinkedBackend:
    root, count = root_of(backend.namespace), PROBES if hasattr(backend, 'new_client') else 1
    probe_keys = [full_key(root, f'{PROBE}{number}') for number in range(count)]
    return LinkedBackend(new_driver, timeout, probe_keys=probe_keys, weigh=_size_of_body, read_at_once=read_at_once)


def _size_of_body(stored: object) -> int:
    """How large an object is, roughly: all but the body of an entry is small."""
    return len(stored.content) if isinstance(stored, Entry) else 0
