"""Small pieces of HTML. Everything that comes from outside is escaped here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

# The page's style sheet: no external font, no script.


CSS = """
:root { --ink: #1c2430; --quiet: #66707f; --line: #e3e7ed; --ground: #f6f7f9; --blue: #0072b2; --pale: #d4e5f1; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 27px; margin: 0 0 4px; letter-spacing: -0.01em; }
h2 { font-size: 19px; margin: 0 0 4px; }
.quiet { color: var(--quiet); margin: 0 0 14px; max-width: 86ch; }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 20px 24px; margin-top: 18px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 12px; margin-top: 18px; }
.tile { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 13px 16px; }
.tile b { display: block; font-size: 25px; font-weight: 650; font-variant-numeric: tabular-nums; line-height: 1.25; }
.tile small { color: var(--quiet); display: block; line-height: 1.35; }
.tile .name { color: var(--ink); font-size: 13px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th { text-align: right; color: var(--quiet); font-weight: 500; border-bottom: 1.5px solid var(--line);
  vertical-align: bottom; }
td { text-align: right; border-bottom: 1px solid var(--line); }
th, td { padding: 5px 10px; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr:last-child td { border-bottom: 0; }
td.title { color: var(--quiet); padding-top: 18px; border-bottom-width: 1.5px; }
.remarks td:last-child, .remarks th:last-child { text-align: left; color: var(--quiet); padding-left: 24px;
  width: 60%; white-space: normal; }
.bar { display: inline-block; height: 9px; background: var(--pale); border-radius: 2px; margin-right: 8px; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 20px; align-items: start; }
img { max-width: 100%; height: auto; display: block; }
figure { margin: 0 0 16px; }
figure img { border-radius: 6px; }
figcaption { color: var(--quiet); font-size: 13.5px; padding-top: 5px; }
ul { margin: 0; padding-left: 20px; }
li { margin: 3px 0; max-width: 96ch; }
code { background: var(--ground); border-radius: 4px; padding: 1px 5px; font-size: 13px; overflow-wrap: anywhere; }
@media print { body { background: #fff; } section, .tile { break-inside: avoid; } }
@media (max-width: 520px) { main { padding: 20px 12px; } section { padding: 16px 14px; }
  .two { grid-template-columns: 1fr; } }
"""


def document(title: str, body: str) -> str:
    """A whole page.

    Args:
        title: plain text.
        body: HTML.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body><main>{body}</main></body></html>\n"
    )


#: What a cell shows when there is nothing to show.
NOTHING = "\u2013"


def number(value: float, digits: int = 0, unit: str = "") -> str:
    """A figure with its unit; a dash for NaN."""
    if not math.isfinite(value):
        return NOTHING
    # A rounded negative zero would be shown as "-0".
    text = f"{round(value, digits) + 0.0:,.{digits}f}"
    return f"{text}\u202f{unit}" if unit else text


def percent(share: float, digits: int = 1) -> str:
    """A fraction as per cent; a dash for NaN."""
    return number(100 * share, digits, "%")


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], bar_column: int | None = None, remarks: bool = False
) -> str:
    """A table of plain texts; the first column is a name, the others are figures.

    Args:
        rows: a row of a single text is the title of those below it.
        bar_column: the column whose figures also get bars.
        remarks: the last column is a remark.
    """
    kind = ' class="remarks"' if remarks else ""
    longest = 0.0
    if bar_column is not None:
        longest = max((_value(row[bar_column]) for row in rows if len(row) > 1), default=0.0)
    lines = ["".join(f"<th>{escape(text)}</th>" for text in head)]
    lines += [_row(row, len(head), bar_column, longest) for row in rows]
    return f'<div class="scroll"><table{kind}>{"".join(f"<tr>{line}</tr>" for line in lines)}</table></div>'


def _row(row: Sequence[str], width: int, bar_column: int | None, longest: float) -> str:
    if len(row) == 1:
        return f'<td class="title" colspan="{width}">{escape(row[0])}</td>'
    cells = [escape(text) for text in row]
    if bar_column is not None and longest > 0:
        cells[bar_column] = _bar(_value(row[bar_column]) / longest) + cells[bar_column]
    return "".join(f"<td>{cell}</td>" for cell in cells)


def _value(text: str) -> float:
    return 0.0 if text == NOTHING else float(text.split("\u202f")[0].replace(",", ""))


def _bar(share: float) -> str:
    return f'<span class="bar" style="width:{90 * share:.0f}px"></span>'


def tile(name: str, value: str, detail: str) -> str:
    """One figure, large."""
    return (
        f'<div class="tile"><span class="name">{escape(name)}</span><b>{escape(value)}</b>'
        f"<small>{escape(detail)}</small></div>"
    )


def image(data: str, alternative: str, kind: str = "png") -> str:
    """An image given as base64."""
    return f'<img alt="{escape(alternative)}" src="data:image/{kind};base64,{data}">'


def figure(data: str, caption: str, kind: str = "png") -> str:
    """An image with a caption below it."""
    return f"<figure>{image(data, caption, kind)}<figcaption>{escape(caption)}</figcaption></figure>"


def section(title: str, explanation: str, *parts: str) -> str:
    """A box of the page."""
    return f'<section><h2>{escape(title)}</h2><p class="quiet">{escape(explanation)}</p>{"".join(parts)}</section>'


def columns(*parts: str) -> str:
    """Side by side where there is room."""
    return f'<div class="two">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def bullets(items: Sequence[str]) -> str:
    """A list of sentences."""
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"
