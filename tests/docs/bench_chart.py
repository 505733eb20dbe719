"""docs/images/bench.svg: the ratios of the bench's table in docs/benchmarks.md, as bars on a logarithmic scale."""

import math
import re
from html import escape

ROWS = {
    "ingest, until fully indexed": "ingest, until indexed",
    "query p50, raw HTTP": "query, ten nearest",
    "filter section == games, p50, raw HTTP": "query, one section in 20",
    "filter size > 100000, p50, raw HTTP": "query, size > 100,000",
    "document $contains, rare to common, p50, raw HTTP": "query, text contains",
    "one-record update, acknowledged, p50, raw HTTP": "update of one record",
    "delete where section == …": "delete by a filter",
    "process start to first response, after a restart": "restart",
}
"""Figure of the table -> its label."""
_WIDTH, _LEFT, _RIGHT, _TOP, _ROW, _BAR = 720, 210, 70, 56, 30, 18
_MOST = 200.0
"""The ratio at the end of the scale."""
_GRID = (1, 10, 100)
_STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#2b2430}.soft{fill:#6b6370;font-size:12px}.back{fill:#fffaf5}"
    ".bar{fill:#d9682b}.grid{stroke:#e3d9cf}"
    "@media(prefers-color-scheme:dark){text{fill:#f3edf5}.soft{fill:#b3a9b8}.back{fill:#1b181d}.grid{stroke:#3a343f}}"
)


def ratios(table: str) -> dict[str, float]:
    """Label -> how many times as fast as Chroma, from the bench's table in Markdown."""
    found = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] in ROWS:
            found[ROWS[cells[0]]] = float(cells[3].removesuffix("×"))
    assert list(found) == list(ROWS.values()), "the bench's table has other figures than the chart"
    return found


def svg(table: str) -> str:
    """The chart."""
    bars = ratios(table)
    about = re.search(r"^(\S+ records) of .*(afterglow \S+), chromadb==([\d.]+)", table, re.MULTILINE)
    assert about, "the line under the bench's table names no releases"
    height = _TOP + len(bars) * _ROW + 30
    title = f"Times as fast as Chroma {about[3]}"
    end = _TOP + len(bars) * _ROW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" role="img" aria-label="{title}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="back" width="{_WIDTH}" height="{height}" rx="10"/>',
        f'<text x="16" y="30" font-weight="600">{title}</text>',
        f'<text class="soft" x="{_WIDTH - 16}" y="30" text-anchor="end">{escape(about[1])}, logarithmic scale</text>',
    ]
    for line in _GRID:
        x = _LEFT + _length(line)
        parts.append(f'<path class="grid" d="M{x} {_TOP - 8}V{end}"/>')
        parts.append(f'<text class="soft" x="{x}" y="{end + 18}" text-anchor="middle">{line}×</text>')
    for row, (label, ratio) in enumerate(bars.items()):
        y = _TOP + row * _ROW
        length = _length(ratio)
        parts.append(f'<text x="{_LEFT - 12}" y="{y + 14}" text-anchor="end">{escape(label)}</text>')
        parts.append(f'<rect class="bar" x="{_LEFT}" y="{y}" width="{length}" height="{_BAR}" rx="3"/>')
        parts.append(f'<text x="{_LEFT + length + 8}" y="{y + 14}">{ratio:.3g}×</text>')
    return "\n".join([*parts, "</svg>", ""])


def _length(ratio: float) -> int:
    """The length of a bar in pixels; 1× has none."""
    return round(math.log(max(1.0, ratio)) / math.log(_MOST) * (_WIDTH - _LEFT - _RIGHT))
