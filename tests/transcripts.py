"""Documents that show commands with their output: run them, and see whether they still say the truth.

python -m tests.transcripts     writes what the commands print now into the documents
"""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.servers import EXAMPLES, ROOT, uvicorn_server

DOCUMENTS = (
    ROOT / 'README.md',
    EXAMPLES / 'README.md',
    ROOT / 'docs' / 'index.md',
    ROOT / 'docs' / 'invalidation.md',
    ROOT / 'docs' / 'http.md',
)

PYTHON = re.compile(r'```python\n(.*?)```', re.DOTALL)
CONSOLE = re.compile(r'(?:<!-- (?P<app>\S+) -->\n)?```console\n(?P<text>.*?)```', re.DOTALL)
CHANGING = re.compile(r'^(date|age): .*$', re.MULTILINE)


def as_run(document: Path) -> str:
    """The document with the output of each command as it comes now."""
    text = document.read_text()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / 'main.py').write_text('\n'.join(PYTHON.findall(text)))
        cwd = EXAMPLES if document.parent == EXAMPLES else Path(folder)
        printed = iter([it for app, commands in _sections(text) for it in _outputs(app, commands, cwd)])

    def block(found: re.Match[str]) -> str:
        shown = '\n\n'.join(f'{command}\n{next(printed)}' for command in _commands(found['text']))
        comment = f'<!-- {found["app"]} -->\n' if found['app'] else ''
        return f'{comment}```console\n{shown}\n```'

    return CONSOLE.sub(block, text)


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each app with its commands, in order; a document of one app need not name it."""
    app, commands = 'main:app', []
    for block in CONSOLE.finditer(text):
        if block['app'] and commands:
            yield app, commands
            commands = []
        app = block['app'] or app
        commands = [*commands, *(line[2:] for line in _commands(block['text']))]
    yield app, commands


def _commands(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith('$ ')]


def _outputs(app: str, commands: list[str], cwd: Path) -> list[str]:
    """What the commands print, run one after the other against the app; without what differs each time."""
    with uvicorn_server(app, cwd=cwd) as port:
        runs = [
            subprocess.run(  # noqa: S602, the commands are those of our own documents
                command.replace('localhost:8000', f'127.0.0.1:{port}'),
                shell=True,
                cwd=cwd,
                check=True,
                capture_output=True,
            )
            for command in commands
        ]
    return [CHANGING.sub(r'\1: …', run.stdout.decode().replace('\r\n', '\n').strip('\n')) for run in runs]


if __name__ == '__main__':
    for it in DOCUMENTS:
        it.write_text(as_run(it))
