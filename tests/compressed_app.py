"""An app whose responses are kept compressed, for real servers and clients."""

import os

from fastapi import FastAPI, Response
from starlette.middleware.gzip import GZipMiddleware

from fastapi_caching_route import Compression, FastAPICache

cache = FastAPICache(compress=Compression(os.environ.get('CODING', 'gzip')))
app = FastAPI()
cache.install(app)
TEXT = 'some text that is repeated; ' * 5000


@app.api_route('/text', methods=['GET', 'HEAD'])
@cache(ttl=600)
async def text():
    return Response(TEXT, media_type='text/plain')


dressed = FastAPI()
dressed.mount('/', app)
dressed.add_middleware(GZipMiddleware)
