"""Tables in Markdown of what the benchmarks have written with `--json`, for docs/performance.md.

python benchmarks/table.py FILE
"""

import json
import sys
from pathlib import Path
from typing import Any


def of_speed(rows: list[dict[str, Any]]) -> list[list[str]]:
    found = [['case', 'µs', 'against', 'ratio', 'quartiles', 'target']]
    for row in rows:
        low, high = row['quartiles']
        target = '' if row['target'] is None else f'{row["target"]:.2f}'
        against = f'{row["against"]}, {row["against_us"]:.1f}'
        ratio, quartiles = f'**{row["ratio"]:.2f}**', f'{low:.2f} to {high:.2f}'
        found.append([row['case'], f'{row["us"]:.1f}', against, ratio, quartiles, target])
    return found


def over_http(rows: dict[str, list[float]]) -> list[list[str]]:
    limit = rows['limit_route'][0]
    found = [['case', 'requests in a second', 'of the limit', 'half within', '99 of 100 within']]
    for name, (rate, half, most) in rows.items():
        found.append([name, f'{rate:.0f}', f'{rate / limit:.2f}', f'{half:.2f} ms', f'{most:.2f} ms'])
    return found


def of_times(title: str, times: dict[str, float]) -> list[list[str]]:
    return [[title, 'µs'], *([name, f'{spent * 1e6:.2f}'] for name, spent in times.items())]


def printed(rows: list[list[str]]) -> None:
    head, *others = rows
    print(f'| {" | ".join(head)} |\n|{"|".join("---" for _ in head)}|')
    for row in others:
        print(f'| {" | ".join(row)} |')
    print()


def main(source: Path) -> None:
    found = json.loads(source.read_text(encoding='utf-8'))
    print(', '.join(f'{name} {version}' for name, version in found['versions'].items()) + ':\n')
    if 'stages' in found:
        for name, stages in found['stages'].items():
            printed(of_times(f'stage: {name}', stages))
        printed(of_times('where it stands', found['routing']))
    elif 'workers' in found:
        for workers, rows in found['workers'].items():
            print(f"With {workers} of uvicorn's workers:\n")
            printed(over_http(rows))
    else:
        printed(of_speed(found['rows']))


if __name__ == '__main__':
    main(Path(sys.argv[1]))
