"""HTML for cells: JupyterLab's own colours, light and dark, and no request to anywhere.

Outside JupyterLab the variables are unset and the fallbacks follow the reader's colour scheme. Every
text is escaped here, so callers pass plain text.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

__all__ = ["card", "facts", "grid"]

_STYLE: Final = (
    ".nl-card{color-scheme:light dark;font:13px/1.45 var(--jp-ui-font-family,system-ui,sans-serif);"
    "color:var(--jp-ui-font-color1,CanvasText);max-width:72em}"
    ".nl-card h4{margin:.2em 0;font-size:1.1em;font-weight:600}"
    ".nl-card p,.nl-card dt{margin:.1em 0;color:var(--jp-ui-font-color2,GrayText)}"
    ".nl-card dl{display:grid;grid-template-columns:max-content 1fr;gap:.1em 1em;margin:.4em 0}"
    ".nl-card dd{margin:0;overflow-wrap:anywhere}"
    ".nl-card .nl-scroll{overflow-x:auto}"
    ".nl-card table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    ".nl-card th,.nl-card td{text-align:left;padding:.15em .9em .15em 0;vertical-align:top;"
    "border-bottom:1px solid var(--jp-border-color2,color-mix(in srgb,currentColor 20%,transparent))}"
    ".nl-card th{font-weight:500;color:var(--jp-ui-font-color2,GrayText)}"
    ".nl-card td:first-child{font-family:var(--jp-code-font-family,ui-monospace,monospace)}"
    ".nl-card .nl-number{text-align:right}"
)


def card(title: str, subtitle: str, body: str) -> str:
    """Frame a body of HTML under a title.

    Parameters
    ----------
    title, subtitle
        Plain text.
    body
        HTML made by this module.

    Returns
    -------
    str
        One ``div`` with its style inside.
    """
    below = f"<p>{escape(subtitle)}</p>" if subtitle else ""
    return f'<div class="nl-card"><style>{_STYLE}</style><h4>{escape(title)}</h4>{below}{body}</div>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Lay names and values out as a list."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    return f"<dl>{items}</dl>" if items else ""


def grid(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = ()) -> str:
    """Lay rows of text out as a table.

    Parameters
    ----------
    head
        Titles of the columns.
    rows
        Cells, as many as titles.
    numbers
        Indices of columns set flush right.

    Returns
    -------
    str
        A table that scrolls by itself where it is too wide.
    """
    right = set(numbers)

    def cells(tag: str, texts: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=nl-number' if at in right else ''}>{escape(text)}</{tag}>" for at, text in enumerate(texts)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<div class="nl-scroll"><table><thead><tr>{cells("th", head)}</tr></thead><tbody>{body}</tbody></table></div>'
    )
