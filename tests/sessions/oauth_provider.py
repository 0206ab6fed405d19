"""A small provider of OAuth: everybody who comes is Ada, and agrees. With PKCE (RFC 7636)."""

import base64
import hashlib
import secrets
from typing import Annotated
from urllib.parse import urlencode

from fastapi import FastAPI, Form, Header, HTTPException
from fastapi.responses import RedirectResponse

app = FastAPI()
codes: dict[str, tuple[str, str]] = {}
tokens: set[str] = set()


@app.get('/authorize')
async def authorize(client_id: str, redirect_uri: str, state: str, code_challenge: str) -> RedirectResponse:
    code = secrets.token_urlsafe()
    codes[code] = client_id, code_challenge
    return RedirectResponse(f'{redirect_uri}?{urlencode({"code": code, "state": state})}')


@app.post('/token')
async def token(
    code: Annotated[str, Form()], client_id: Annotated[str, Form()], code_verifier: Annotated[str, Form()]
) -> dict[str, str]:
    digest = hashlib.sha256(code_verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b'=').decode()
    if codes.pop(code, None) != (client_id, challenge):
        raise HTTPException(400, 'invalid_grant')
    made = secrets.token_urlsafe()
    tokens.add(made)
    return {'access_token': made, 'token_type': 'Bearer'}


@app.get('/userinfo')
async def userinfo(authorization: Annotated[str, Header()]) -> dict[str, str]:
    if authorization.removeprefix('Bearer ') not in tokens:
        raise HTTPException(401)
    return {'sub': '7', 'name': 'Ada'}
