"""What the command line prints of texts that clients have chosen."""

import pytest

from fastapi_caching_route._cli.printing import complain, print_rows, print_warning, say

HOSTILE = '/x/\x1b]0;pwned\x07\x1b[31mred\x9b\u202eabc\r'


def rows(text):
    print_rows(('path', 'tags'), [[text, 'tag'], ['/y', text]])


@pytest.mark.parametrize('printed', [say, complain, print_warning, rows])
def test_a_terminal_obeys_nothing_that_a_client_has_chosen(capsys, printed):
    printed(f'{HOSTILE}\nsecond line')
    output = capsys.readouterr()
    text = (output.out + output.err).replace(' ', '').replace('\n', '')
    assert all(it.isprintable() for it in text)
    assert 'pwned' in text
    assert 'secondline' in text
