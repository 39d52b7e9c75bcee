"""A run's tree as a page of its own."""

from __future__ import annotations

from html import escape

from nbtasks.clock import at
from nbtasks.details import clean
from nbtasks.render import html
from nbtasks.style import DARK, variables
from nbtasks.tree import Tree

__all__ = ["page"]

_MOST = 10_000  # tasks
_LABEL = 80  # characters
#: Outside a notebook, the page follows the theme of the browser.
_STYLE = (
    "body{margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1f2328;background:#fff}"
    "@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#111418}"
    f"body .nbtasks-tree{{{variables(DARK)}}}}}"
)


def page(tree: Tree, now_us: int) -> str:
    """Return one HTML document without scripts that refers to nothing outside itself."""
    name = escape(clean(f"{tree.run.job} {tree.run.version}", _LABEL))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{name}</title><style>{_STYLE}</style></head><body>"
        f"{html(tree, now_us, limit=_MOST)}"
        f"<p><small>nbtasks, {at(now_us):%Y-%m-%d %H:%M:%S} UTC</small></p></body></html>"
    )
