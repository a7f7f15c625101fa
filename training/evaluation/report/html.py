"""Small pieces of HTML. Everything that comes from outside is escaped here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

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
    """A picture given as base64."""
    return f'<img alt="{escape(alternative)}" src="data:image/{kind};base64,{data}">'


def figure(data: str, caption: str, kind: str = "png") -> str:
    """A picture with a caption below it."""
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
