"""Worker of LangGraph with its SQLite checkpointer: tasks of an entrypoint, or a graph with a loop.

Results of `@task` are written in the background: a task may begin before the one before it is on
disk. A graph with `durability="sync"` waits for the checkpoint of each step, as the option `graph`
does. A finished entrypoint is not executed again, so this one fails at its end, and is resumed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from importlib import metadata
from typing import Any, TypedDict

from benchmarks.peers.work import Work, start, step

_CONFIG: dict[str, Any] = {"configurable": {"thread_id": "peers"}, "recursion_limit": 1_000_000}


class State(TypedDict):
    """Channels of the graph."""

    number: int
    more: bool


def main(work: Work) -> None:
    """Run the entrypoint or the graph."""
    with work.importing():
        from langgraph.checkpoint.sqlite import SqliteSaver
        from langgraph.func import entrypoint, task
        from langgraph.graph import StateGraph
    work.version = metadata.version("langgraph")
    con = sqlite3.connect(work.folder / "checkpoints.sqlite", check_same_thread=False)
    saver = SqliteSaver(con)
    if work.option == "graph":
        graph = _graph(StateGraph(State), work).compile(checkpointer=saver)
        first: State = {"number": -1, "more": True}
        work.execute(lambda: graph.invoke(first, _CONFIG, durability="sync"))
    else:
        runnable = entrypoint(checkpointer=saver)(_body(task(step), work))
        begin: dict[str, Any] | None = {} if work.first else None  # None resumes
        work.execute(lambda: _until_it_fails(lambda: runnable.invoke(begin, _CONFIG)))
    con.close()


def _graph(graph: Any, work: Work) -> Any:
    numbers = iter(work)

    def node(state: State) -> State:
        number = next(numbers, None)
        if number is None:
            return {"number": state["number"], "more": False}
        return {"number": step(number), "more": True}

    graph.add_node("step", node)
    graph.set_entry_point("step")
    graph.add_conditional_edges("step", lambda state: "step" if state["more"] else "__end__")
    return graph


def _body(recorded: Any, work: Work) -> Callable[[Any], None]:
    def body(_: Any) -> None:
        for number in work:
            recorded(number).result()
        raise InterruptedError

    return body


def _until_it_fails(run: Callable[[], object]) -> None:
    try:
        run()
    except InterruptedError:
        return
    raise AssertionError


if __name__ == "__main__":
    start(main)
