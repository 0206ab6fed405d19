"""A plot for the docs of what `speed.py --json` has written.

uv run --group bench --group plot python benchmarks/plot.py FILE docs/performance.svg
"""

import json
import sys
from pathlib import Path

from matplotlib import pyplot as plt

plt.rcParams.update({'svg.fonttype': 'path', 'svg.hashsalt': 'the same each time'})

WIDTH = 0.5
"""Of the text of a ratio, on the axis."""


def main(source: Path, target: Path) -> None:
    found = json.loads(source.read_text(encoding='utf-8'))
    rows = [row for row in found['rows'] if row['against'] == 'limit_route'][::-1]
    figure, axes = plt.subplots(figsize=(8, 0.36 * len(rows) + 1.1))
    for place, row in enumerate(rows):
        low, high = row['quartiles']
        colour = '#3f51b5' if row['target'] is not None else '#9e9e9e'
        axes.barh(place, row['ratio'], color=colour, height=0.62)
        axes.plot([low, high], [place, place], color='black', linewidth=1)
        end = max(high, row['ratio'])
        if row['target'] is not None:
            axes.plot([row['target']] * 2, [place - 0.4, place + 0.4], color='#ff9800', linewidth=2)
            end = max(end, row['target']) if row['target'] < end + WIDTH else end
        axes.text(end + 0.08, place, f'{row["ratio"]:.2f}', va='center', fontsize=8)
    axes.axvline(1, color='black', linewidth=0.8)
    axes.set_yticks(range(len(rows)), [row['case'] for row in rows], fontsize=8)
    axes.set_xlabel(
        'CPU time, as a multiple of a hand-written route; thin lines: quartiles, orange: what we aim at', fontsize=8
    )
    axes.spines[['top', 'right']].set_visible(False)
    figure.tight_layout()
    figure.savefig(target, metadata={'Date': None})


if __name__ == '__main__':
    main(Path(sys.argv[1]), Path(sys.argv[2]))
