"""Pages from templates: a cookie banner, a theme, and a greeting, cached by what each of them reads of the request.

uvicorn pages:app
"""

import jinja2
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.templating import Jinja2Templates

from fastapi_caching_route import CachingRoute, FastAPICache

SOURCES = {
    'page.html': """<!doctype html>
<html class="{{ request.cookies.get('theme', 'light') }}">
{% if 'consent' not in request.cookies %}
<form action="{{ url_for('consent') }}"><button>No cookies, thanks</button></form>
{% endif %}{% block content %}{% endblock %}
</html>""",
    'home.html': """{% extends 'page.html' %}{% block content %}
<a href="{{ url_for('news') }}">News</a>{% endblock %}""",
    'news.html': """{% extends 'page.html' %}{% block content %}
{% if 'name' in request.cookies %}Hello {{ request.cookies['name'] }}! {% endif %}Nothing new.{% endblock %}""",
}
templates = Jinja2Templates(env=jinja2.Environment(loader=jinja2.DictLoader(SOURCES), autoescape=True))
cache = FastAPICache()
router = APIRouter(route_class=CachingRoute)


@router.get('/')
@cache(ttl=60)
async def home(request: Request) -> HTMLResponse:
    """The template reads two cookies, the host and the scheme: these select the page."""
    return templates.TemplateResponse(request, 'home.html')


@router.get('/news')
@cache(ttl=60)
async def news(request: Request) -> HTMLResponse:
    """The template reads a third cookie, so each name has a page of its own."""
    return templates.TemplateResponse(request, 'news.html')


@router.get('/consent')
async def consent(request: Request) -> RedirectResponse:
    response = RedirectResponse(request.url_for('home'))
    response.set_cookie('consent', 'no')
    return response


app = FastAPI()
app.include_router(router)
