"""A guard that checks an API key."""

from typing import Annotated

from fastapi import HTTPException, Security
from fastapi.security import APIKeyHeader

key_header = APIKeyHeader(name='X-Key')


banned: set[str] = set()


def check_key(key: Annotated[str, Security(key_header)]) -> None:
    if key in banned:
        raise HTTPException(403, f'{key} is banned', headers={'x-why': 'banned'})
