"""Style sheet of the tree: CSS that follows JupyterLab's theme and stays inside the tree.

The tree has its own colors, since the theme's green and orange are too pale for text: each
has a contrast of at least 4.5:1 against a light and against a dark page. JupyterLab, Notebook and
exported pages declare their theme by `[data-jp-theme-light]`, VS Code by `vscode-dark`, and
Colab by `theme=dark`.
"""

from __future__ import annotations

__all__ = ["DARK", "LIGHT", "STYLE", "variables"]

LIGHT = {
    "completed": "#1a7f37",
    "reused": "#0b7285",
    "running": "#0969da",
    "waiting": "#8a5d00",
    "failed": "#c62828",
    "other": "#5f6670",
}
DARK = {
    "completed": "#4cc26a",
    "reused": "#4fc3d0",
    "running": "#6cb0ff",
    "waiting": "#e0ac3a",
    "failed": "#ff8a80",
    "other": "#a8b0ba",
}


def variables(colours: dict[str, str]) -> str:
    """Return the CSS declarations of the colors."""
    return "".join(f"--nbt-{name}:{colour};" for name, colour in colours.items())


_ROOT = ":is(.nbtasks-tree,#_)"  # has the specificity of an id, to beat JupyterLab's output rules
_OWN = {name: name for name in LIGHT} | {"interrupted": "waiting"}
_COLOURS = "".join(
    [
        f".nbtasks-tree{{{variables(LIGHT)}}}",
        "[data-jp-theme-light=false] .nbtasks-tree,",
        ".vscode-dark .nbtasks-tree,html[theme=dark] .nbtasks-tree",
        f"{{{variables(DARK)}}}",
        *(f"{_ROOT} .nbt-{name}{{--nbt-colour:var(--nbt-{own})}}" for name, own in _OWN.items()),
    ]
)
_RULES = """
@ {
  --nbt-colour: var(--nbt-other); max-width: 54rem; overflow-x: auto; padding: 2px 0 4px;
  color: var(--jp-ui-font-color1, var(--vscode-foreground, inherit));
  font: var(--jp-ui-font-size1, 13px)/1.55 var(--jp-ui-font-family, system-ui, sans-serif);
  font-variant-numeric: tabular-nums; font-variant-emoji: text;
}
@ :is(ul, li, details, summary, code) { margin: 0; padding: 0; }
@ ul { list-style: none; }
@ ul ul {
  margin-left: 8px; padding-left: 10px; border-left: 1px solid var(--jp-border-color2, #8884);
}
@ ul ul ul ul ul ul ul ul { margin-left: 0; padding-left: 2px; }
@ :is(li > div, li summary) {
  display: grid; align-items: baseline; column-gap: 6px; padding: 0 4px; border-radius: 3px;
  grid-template-columns:
    10px 14px minmax(0, max-content) minmax(0, 1fr) minmax(0, max-content) 72px 88px;
}
@ :is(li > div, li summary):hover { background: #8881; }
@ summary { cursor: pointer; list-style: none; }
@ summary::-webkit-details-marker { display: none; }
@ :is(li > div, summary)::before {
  content: ""; color: var(--nbt-other); font-size: 10px; line-height: 1;
}
@ details > summary::before { content: "▸"; }
@ details[open] > summary::before { content: "▾"; }
@ i { font-style: normal; color: var(--nbt-colour); }
@ li i { text-align: center; }
@ code { background: none; color: inherit; font: inherit; }
@ li :is(code, small, em) { overflow: hidden; text-overflow: ellipsis; white-space: pre; }
@ :is(small, em, q, .nbt-facts) {
  color: var(--nbt-other); font-size: inherit; font-style: normal;
}
@ span { color: var(--nbt-colour); }
@ li small { grid-column: 4; }
@ li em { grid-column: 5; padding-left: 12px; }
@ li span { grid-column: 6; padding-left: 12px; }
@ li time { grid-column: 7; }
@ time { text-align: right; white-space: nowrap; }
@ :is(strong, q) { grid-column: 3 / -1; quotes: none; }
@ br { display: none; }
@ :is(strong, .nbt-error) {
  color: var(--nbt-failed); font-weight: normal; overflow-wrap: anywhere;
}
@ .nbt-dim { color: var(--nbt-other); --nbt-colour: var(--nbt-other); }
@ .nbt-note { font-weight: 600; }
@ .nbt-head { display: flex; align-items: baseline; column-gap: 8px; padding: 0 4px; }
@ .nbt-head > :is(b, small) { overflow: hidden; text-overflow: ellipsis; white-space: pre; }
@ .nbt-head > :is(span, em, time) { flex: none; }
@ .nbt-head::before { order: 9; }
@ .nbt-head time { margin-left: auto; }
@ > div, @ .nbt-run > div { padding: 0 4px; }
@ .nbt-bar {
  display: flex; gap: 1px; height: 3px; margin: 4px; padding: 0; border-radius: 2px;
  overflow: hidden;
}
@ .nbt-bar i { background: var(--nbt-colour); min-width: 3px; }
"""

#: The whole style sheet, for a `<style>` element.
STYLE = _COLOURS + " ".join(_RULES.replace("@", _ROOT).split())
