"""The console in a real Chromium: it can be read and used, by keyboard alone too, and other sites cannot use it."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tests.browser import chromium, needed
from tests.servers import ROOT, uvicorn_server, wait_until

HOSTILE = '<img src=x onerror="document.title=\'broken\'"><script>document.title="broken"</script>"\'&lt;'


@pytest.fixture(scope='module')
def url():
    needed()
    with uvicorn_server('tests.console_app:app', cwd=ROOT) as port:
        yield f'http://127.0.0.1:{port}'


@pytest.fixture(scope='module')
def browser(url):
    with chromium() as browser:
        browser.driver.get(f'{url}/login')
        yield browser


@pytest.fixture
def console(browser, url):
    """The page, with entries of three routes."""
    httpx.get(f'{url}/items/1')
    httpx.get(f'{url}/items/1')
    httpx.get(f'{url}/skipped')
    httpx.get(f'{url}/mine', cookies={'session': 'of-ada'})
    browser.shown_as(1280, 900)
    browser.driver.get('about:blank')
    browser.driver.get(f'{url}/cache/')
    browser.complaints()
    browser.says('#live', 'live')
    return browser


def is_hit(url, path='/items/1'):
    return httpx.get(url + path).headers.get('x-cache') == 'HIT'


def section(browser, name):
    browser.run('location.hash = arguments[0]', name)
    wait_until(lambda: browser.one(f'section[data-name={name}]').is_displayed())


def test_all_sections_show_what_they_should_and_the_browser_has_no_complaint(console):
    console.says('#figures', 'Hit ratio, last hour')
    assert '%' in console.text('#figures')
    assert len(console.all('#chart svg rect.without_run')) >= 1
    assert 'MemoryCache' in console.text('#store')
    assert 'skip' in console.text('#reasons')
    section(console, 'routes')
    console.says('#routes-list', '/items/{item}')
    console.all('#routes-list summary')[0].click()
    console.says('#routes-list', 'path item, query page')
    section(console, 'entries')
    console.says('#entries-list', '/items/1')
    console.says('#entries-list', 'item:1')
    section(console, 'lookup')
    console.one('#lookup-form [name=url]').send_keys('/items/1')
    console.one('#lookup-form button').click()
    console.says('#lookup-result', 'The entry would be sent')
    section(console, 'invalidate')
    assert console.text('#trouble') == ''
    assert console.complaints() == []


def test_numbers_change_without_a_new_page(console, url):
    first = console.text('#figures')
    for _ in range(50):
        httpx.get(f'{url}/items/1')
    wait_until(lambda: console.text('#figures') != first)
    console.says('#figures', '/s')


@pytest.mark.parametrize('dark', [False, True])
@pytest.mark.parametrize('width', [390, 1280])
def test_nothing_is_wider_than_the_window_in_any_section(console, width, dark):
    console.shown_as(width, 844, dark=dark)
    for name in ('overview', 'routes', 'entries', 'lookup', 'invalidate'):
        section(console, name)
        wait_until(lambda: console.run('return document.documentElement.scrollWidth') <= width)
        assert console.one('nav a[aria-current]').get_attribute('href').endswith(f'#{name}')
    shades = console.run('return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)')
    assert (max(shades[:3]) < 60) == dark


def test_a_table_is_a_list_of_blocks_on_a_phone(console):
    section(console, 'entries')
    console.says('#entries-list', '/items/1')
    assert console.one('#entries-list thead').is_displayed()
    console.shown_as(390, 844)
    wait_until(lambda: not console.one('#entries-list thead').is_displayed())
    label = "return getComputedStyle(document.querySelector('#entries-list td'), '::before').content"
    assert console.run(label) == '"Path"'


def test_the_keyboard_is_enough(console, url):
    console.press('TAB')
    assert console.run('return document.activeElement.textContent') == 'Skip to the content'
    console.press(*['TAB'] * 5, 'ENTER')  # the last of the five sections
    console.says('main', 'Entries of')
    console.press('TAB', 'TAB', 'items', 'TAB', 'TAB', 'ENTER')
    console.says('#confirm', 'Invalidate: tag items?')
    assert console.run("return document.getElementById('confirm').contains(document.activeElement)")
    console.press('ESCAPE')
    wait_until(lambda: not console.one('#confirm').is_displayed())
    assert is_hit(url)
    console.press('ENTER')
    console.says('#confirm', 'Invalidate: tag items?')
    console.press('TAB', 'ENTER')
    console.says('#invalidate-result', 'Invalidated: tag items.')
    assert not is_hit(url)


def test_a_personal_body_is_shown_only_after_a_second_question(console):
    section(console, 'entries')
    console.says('#entries-list', '/mine')
    console.one("#entries-list button[aria-label='Show the entry of /mine']").click()
    console.says('#entry', 'only on request')
    assert 'mine alone' not in console.text('#entry')
    console.one('#entry-body button').click()
    console.says('#entry', 'mine alone')
    console.press('ESCAPE')
    console.one("#entries-list button[aria-label='Show the entry of /items/1']").click()
    console.says('#entry', '"item":1')
    console.press('ESCAPE')


def test_what_clients_have_sent_is_never_markup(console, url):
    assert httpx.get(f'{url}/echo/{HOSTILE}').headers['x-cache'] in {'MISS', 'HIT'}
    section(console, 'entries')
    console.says('#entries-list', f'/echo/{HOSTILE}')
    console.run("document.querySelector(`#entries-list button[aria-label*='echo']`).click()")
    console.says('#entry', HOSTILE)
    console.press('ESCAPE')
    section(console, 'lookup')
    console.run("document.querySelector('#lookup-form [name=url]').value = arguments[0]", f'/echo/{HOSTILE}')
    console.run("document.querySelector('#lookup-form [name=headers]').value = arguments[0]", f'x-a: {HOSTILE}')
    console.one('#lookup-form button').click()
    console.says('#lookup-result', 'The entry would be sent')
    section(console, 'invalidate')
    console.run("document.querySelector('#invalidate-form [name=what]').value = arguments[0]", HOSTILE)
    console.one('#invalidate-form button').click()
    console.says('#confirm', HOSTILE)
    console.press('ESCAPE')
    assert console.run("return document.querySelectorAll('main img, dialog img, script').length") == 1
    assert console.driver.title == 'Cache console'
    assert console.complaints() == []


def test_what_turns_text_around_is_shown_as_what_it_is(console, url):
    assert httpx.get(f'{url}/echo/a\u202egpj.exe\u2066').headers['x-cache'] in {'MISS', 'HIT'}
    section(console, 'entries')
    console.says('#entries-list', r'/echo/a\u202egpj.exe\u2066')
    section(console, 'invalidate')
    console.run("document.querySelector('#invalidate-form [name=what]').value = arguments[0]", 'a\u202eb')
    console.one('#invalidate-form button').click()
    console.says('#confirm', r'a\u202eb')
    console.press('ESCAPE')


def test_text_cannot_become_markup_even_by_mistake(console):
    refused = "try { document.body.innerHTML = '<b>x</b>'; return 'done' } catch (error) { return error.name }"
    assert console.run(refused) == 'TypeError'


def test_a_guard_that_refuses_ends_the_live_numbers(console, url):
    console.driver.delete_cookie('admin')
    console.run('listen()')
    console.says('#live', 'not live')
    console.says('#trouble', '40')
    console.driver.get(f'{url}/cache/')
    assert 'Hit ratio' not in console.driver.page_source
    console.driver.get(f'{url}/login')


PAGE = """<!doctype html><title>elsewhere</title><iframe src="{console}/cache/"></iframe>
<form id=f method=post enctype=text/plain action="{console}/cache/invalidate.json">
<input name='{{"all": true, "x": "' value='"}}'></form>"""


@pytest.fixture
def elsewhere(url):
    """Another site: the same host, so that cookies are sent there, too."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header('content-type', 'text/html')
            self.end_headers()
            self.wfile.write(PAGE.format(console=url).encode())

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_address[1]}/'
    server.shutdown()
    server.server_close()


SENDING = """
const [url, done] = arguments;
fetch(url, {method: 'POST', credentials: 'include', mode: 'no-cors', body: '{"all": true}'}).then(
  () => done('sent'), (error) => done(error.message));
"""
READING = """
const [url, done] = arguments;
fetch(url, {credentials: 'include'}).then((it) => it.text()).then(done, (error) => done(error.name));
"""


def test_a_page_of_another_site_can_neither_invalidate_read_nor_frame_it(console, url, elsewhere):
    assert is_hit(url)
    console.driver.get(elsewhere)
    assert console.driver.execute_async_script(SENDING, f'{url}/cache/invalidate.json') in {'sent', 'Failed to fetch'}
    assert console.driver.execute_async_script(READING, f'{url}/cache/stats.json') == 'TypeError'
    console.driver.switch_to.frame(0)
    assert 'Hit ratio' not in console.driver.page_source
    console.driver.switch_to.default_content()
    console.run('document.forms[0].submit()')
    wait_until(lambda: 'another site' in console.driver.page_source)
    assert is_hit(url)
