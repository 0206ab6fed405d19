"""Code beside endpoints that reads the raw request: responses with code of their own, schemes called by hand."""

import pytest
from fastapi import HTTPException, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.security import APIKeyHeader
from starlette.authentication import SimpleUser
from starlette.datastructures import Headers

from tests.promises.test_raw_sharing import Account, app_of, asked

LANGUAGES = [[(b'accept-language', it)] for it in (b'de', b'fr', b'de')]


class InTheLanguageOfTheClient(Response):
    """A response that decides what it is when it is sent."""

    async def __call__(self, scope, receive, send):
        language = Headers(scope=scope).get('accept-language', '')
        await PlainTextResponse(language)(scope, receive, send)


async def test_what_a_response_reads_when_it_is_sent_counts():
    async def endpoint(request: Request):
        return InTheLanguageOfTheClient()

    app = app_of(endpoint)
    got = [await asked(app, headers=it) for it in LANGUAGES]
    assert [body for body, _ in got] == ['de', 'fr', 'de']


async def raising():
    raise HTTPException(404)


async def responding():
    return InTheLanguageOfTheClient()


@pytest.mark.parametrize('reads', ['noted', 'all'])
@pytest.mark.parametrize('endpoint', [raising, responding])
async def test_what_is_read_where_no_dependency_takes_the_request_counts(endpoint, reads):
    app = app_of(endpoint, reads=reads, status_ttl={404: 60})

    @app.exception_handler(HTTPException)
    async def handler(request, error):
        return PlainTextResponse(request.headers.get('accept-language', ''), status_code=error.status_code)

    got = [await asked(app, headers=it) for it in LANGUAGES]
    assert got == [('de', b'MISS'), ('fr', b'MISS'), ('de', b'HIT')]


async def test_what_a_scheme_reads_that_the_endpoint_calls_counts():
    scheme = APIKeyHeader(name='x-plan', auto_error=False)

    async def endpoint(request: Request):
        return Response(await scheme(request) or 'free')

    app = app_of(endpoint)
    got = [await asked(app, headers=[(b'x-plan', it)]) for it in (b'paid', b'trial', b'paid')]
    assert got == [('paid', b'MISS'), ('trial', b'MISS'), ('paid', b'HIT')]


async def test_an_object_that_code_replaces_by_a_plain_value_cannot_be_compared_either():
    async def endpoint(request: Request):
        account = request.state.account
        request.state.account = 'ada'
        return Response(str(account == 'ada'))

    app = app_of(endpoint)
    got = [await asked(app, state={'account': it}) for it in (Account('ada'), 'ada', 'ada')]
    assert got == [('False', None), ('True', b'MISS'), ('True', b'HIT')]


async def test_a_user_that_code_makes_comparable_could_not_be_compared_when_it_was_read():
    async def endpoint(request: Request):
        account = vars(request.user).pop('account', None)
        return Response(account.name if account else 'nobody')

    app, with_account = app_of(endpoint), SimpleUser('ann')
    with_account.account = Account('ada')
    got = [await asked(app, user=it) for it in (with_account, SimpleUser('ann'), SimpleUser('ann'))]
    assert got == [('ada', None), ('nobody', b'MISS'), ('nobody', b'HIT')]
