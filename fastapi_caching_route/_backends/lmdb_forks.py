"""Objects that are told before and after each fork of this process, since a child cannot use what they have open."""

import os
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    """What has to be told of a fork."""

    def before_fork(self) -> None:
        """Close what a child must not inherit, and hold all locks."""

    def after_fork_in_parent(self) -> None:
        """Release the locks."""

    def after_fork_in_child(self) -> None:
        """Make new locks: the old ones may be held by threads that the child does not have."""


_told: WeakSet[Forked] = WeakSet()
_during: list[Forked] = []
"""Those that were told before the fork that is under way."""


def told_of_forks(it: Forked) -> None:
    """Tell an object of all forks, as long as it lives."""
    _told.add(it)


def _before() -> None:
    _during.extend(_told)
    for it in _during:
        it.before_fork()


def _in_parent() -> None:
    for it in _during:
        it.after_fork_in_parent()
    _during.clear()


def _in_child() -> None:
    for it in _during:
        it.after_fork_in_child()
    _during.clear()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
