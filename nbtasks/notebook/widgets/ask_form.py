"""Form of ipywidgets that asks a person a question."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from datetime import date
from typing import Any

import ipywidgets
from IPython.core.getipython import get_ipython
from IPython.display import display

from nbtasks.io.ask import Field, Question, Submit

__all__ = ["present"]

_WIDE = {"width": "32rem"}
_NAMES = {"description_width": "10rem"}


def present(title: str, question: Question, submit: Submit) -> bool:
    """Implement `io.ask.Prompter.ask`: show a form, or return False if no kernel could receive the
    answer."""
    if getattr(get_ipython(), "kernel", None) is None:
        return False
    # A saved notebook shows this text: no kernel could receive the answer of a form.
    summary = f"{title}: {', '.join(f'{field.name} ({field.kind})' for field in question.fields)}"
    bundle = _form(title, question, submit)._repr_mimebundle_()
    display(
        {**bundle, "text/plain": summary, "text/html": f"<p>{html.escape(summary)}</p>"}, raw=True
    )
    return True


def _form(title: str, question: Question, submit: Submit) -> Any:
    inputs = {field.name: _input(field) for field in question.fields}
    send = ipywidgets.Button(description="Send", button_style="primary")
    status = ipywidgets.HTML()

    def click(_: Any) -> None:
        try:
            answers = {name: _read_input(field, inputs[name]) for name, field in fields.items()}
            problem = submit({name: value for name, value in answers.items() if value is not None})
        except Exception as error:  # noqa: BLE001 - the person who sends must see any error
            problem = f"{type(error).__name__}: {error}"
        if problem is None:
            for widget in (*inputs.values(), send):
                widget.disabled = True
            status.value = "Sent. If the cell has ended meanwhile, execute it again to resume."
        else:
            status.value = f"<b>Not sent:</b> {html.escape(problem)}"

    fields = {field.name: field for field in question.fields}
    send.on_click(click)
    head = ipywidgets.HTML(f"<b>{html.escape(title)}</b>")
    return ipywidgets.VBox([head, *inputs.values(), ipywidgets.HBox([send, status])])


def _input(field: Field) -> Any:
    common: dict[str, Any] = {
        "description": field.name, "style": _NAMES, "layout": _WIDE,
        "tooltip": field.description or field.kind,
    }  # fmt: skip
    make = _INPUTS.get(field.kind, _json_input)
    return make(field.default, common | {"options": field.choices} if field.choices else common)


def _choice_input(default: Any, common: dict[str, Any]) -> Any:
    value = default if default in common["options"] else None
    return ipywidgets.Dropdown(value=value, **common)


def _date_input(default: Any, common: dict[str, Any]) -> Any:
    return ipywidgets.DatePicker(value=date.fromisoformat(default) if default else None, **common)


def _json_input(default: Any, common: dict[str, Any]) -> Any:
    text = "" if default is None else json.dumps(default)
    return ipywidgets.Text(value=text, placeholder="JSON", **common)


_INPUTS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "yes or no": lambda default, common: ipywidgets.Checkbox(value=bool(default), **common),
    "whole number": lambda default, common: ipywidgets.IntText(value=default or 0, **common),
    "number": lambda default, common: ipywidgets.FloatText(value=default or 0.0, **common),
    "text": lambda default, common: ipywidgets.Text(value=default or "", **common),
    "choice": _choice_input,
    "date": _date_input,
}


def _read_input(field: Field, widget: Any) -> Any:
    value = widget.value
    if field.kind == "JSON":
        return json.loads(value) if value.strip() else None
    return value.isoformat() if isinstance(value, date) else value
