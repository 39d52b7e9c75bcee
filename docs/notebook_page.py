"""A notebook as a page of the site: its cells as Markdown, its outputs as they were saved."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from typing import Any

from nbtasks.views.tree.style import DARK, LIGHT

_OTHER_NOTEBOOK = re.compile(r"\]\((\w+)\.ipynb\)")
_TERMINAL_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_COLORS = "".join(f"--nbt-{name}:light-dark({LIGHT[name]},{DARK[name]});" for name in LIGHT)
#: Trees have the colors of the page's scheme, and tables of pandas look as in a notebook.
_STYLE = f"""
:host {{ overflow-wrap: normal; }}
:host .nbtasks-tree {{ {_COLORS} }}
table {{ border: none; border-collapse: collapse; font-size: 0.8em; line-height: 1.4; }}
th, td {{ border: none; padding: 0.3em 0.7em; text-align: right; }}
thead {{ border-bottom: 1px solid; }}
tbody tr:nth-child(odd) {{ background: rgb(127 127 127 / 12%); }}
"""


def notebook_page(notebook: Mapping[str, Any], keep_html: Callable[[str], str]) -> str:
    """Return the Markdown of a notebook.

    Args:
        notebook: The content of its file.
        keep_html: Takes HTML that Markdown must not read, and returns what stands for it.
    """
    return "\n\n".join(
        part for cell in notebook["cells"] for part in _cell(cell, keep_html) if part
    )


def _cell(cell: Mapping[str, Any], keep_html: Callable[[str], str]) -> list[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return [_OTHER_NOTEBOOK.sub(r"](\1.md)", source)]
    outputs = [shown for output in cell["outputs"] if (shown := _output(output))]
    return [
        f"````python\n{source}\n````",
        *(keep_html(f'<div class="output">{shown}</div>') for shown in outputs),
    ]


def _output(output: Mapping[str, Any]) -> str:
    """Return the best form of an output that a page can show, as HTML."""
    data = {kind: "".join(text) for kind, text in output.get("data", {}).items()}
    if "text/html" in data:
        # Behind a shadow root, where the theme's styles for tables and details don't reach.
        return (
            f'<template shadowrootmode="open"><style>{_STYLE}</style>{data["text/html"]}</template>'
        )
    if "image/png" in data:
        return f'<img alt="" src="data:image/png;base64,{data["image/png"].strip()}">'
    text = output.get("text") or data.get("text/plain") or "\n".join(output.get("traceback", []))
    plain = _TERMINAL_COLOR.sub("", "".join(text)).strip("\n")
    return f"<pre>{html.escape(plain)}</pre>" if plain else ""
