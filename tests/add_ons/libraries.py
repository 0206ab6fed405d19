"""Finds a library of others, or says why its tests are skipped."""

import importlib
import os
from importlib.metadata import PackageNotFoundError, requires, version

import pytest

WANTED = os.environ.get('ADD_ONS') == 'true'
"""Whether all libraries must be there, as in CI."""


def library(distribution, *modules):
    """The modules of a library. Skips the tests where it is not installed, or does not take this release of FastAPI."""
    try:
        unmet = [it for it in map(_unmet, requires(distribution) or ()) if it]
        if not unmet:
            found = tuple(importlib.import_module(it) for it in modules)
            return found[0] if len(found) == 1 else found
        reason = f'{distribution} {version(distribution)} requires {", ".join(unmet)}'
    except PackageNotFoundError:
        reason = f'{distribution} is not installed; `uv run --group add-ons pytest tests/add_ons` installs it'
    if WANTED:
        raise RuntimeError(reason)
    pytest.skip(reason, allow_module_level=True)


def _unmet(text):
    """A requirement of a framework that this environment does not meet, or None."""
    from packaging.requirements import Requirement  # noqa: PLC0415, pytest brings it

    requirement = Requirement(text)
    concerns = requirement.name in ('fastapi', 'starlette') and (
        requirement.marker is None or requirement.marker.evaluate({'extra': ''})
    )
    met = not concerns or requirement.specifier.contains(version(requirement.name), prereleases=True)
    return None if met else text
