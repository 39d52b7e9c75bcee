"""Random programs as cells of a notebook, and what they must come to."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Book", "JobBook", "TaskBook", "make_book"]


#: So many times the number of a large task is its value, which is kept in a file then.
_REPEATS = 400_000
#: Large tasks have so many values, or a long run would fill the disk.
_LARGE = 300
#: What takes long enough for many kills to come within the only call of a task.
_EFFORT = "    sum(range(300_000))"
#: Tasks that invoke other runs, with the calls that do so.
_INVOKES = {
    "begin": 'tripled.invoke({key}, {{"n": {n}}})',
    "invoke": 'tripled.invoke_and_wait({key}, {{"n": {n}}}, "90d")',
    "batch": 'tripled.batch_invoke_and_wait({key}, [{{"n": {n}}}, {{"n": {n} + 1}}], "90d")',
}
#: Tasks without a function of their own.
_PLAIN = ("wait", "random", "event", *_INVOKES)


@dataclass(eq=False)
class Node:
    """A task of a program.

    Attributes:
        kind: leaf, once, flaky, large, stored, function, map, group, wait, event, random, or one
            that invokes.
        key: Its key.
        number: Number in its value.
        ident: Name of its function.
        version: Number of edits of its function.
        below: The tasks that it calls.
        gathered: Whether an async body starts these side by side.
    """

    kind: str
    key: str
    number: int
    ident: str
    version: int = 0
    below: list[Node] = field(default_factory=list)
    gathered: bool = False

    @property
    def code(self) -> int:
        """Version of its code, with that of all below it."""
        return zlib.crc32(repr((self.kind, self.version, [n.code for n in self.below])).encode())

    @property
    def pattern(self) -> bytes:
        """Repeated part of the value of a large task."""
        return b"%03d" % (self.number % _LARGE)

    @property
    def value(self) -> Any:
        """Value that it must return by its present code."""
        if self.kind == "group":
            return [node.value for node in self.below if node.kind != "wait"]
        if self.kind == "map":
            return [[self.number + n, self.version] for n in range(3)]
        if self.kind in ("large", "stored"):
            return [zlib.crc32(self.pattern * _REPEATS), self.version]
        others = {"wait": None, "random": "any", "event": {"n": self.number}}
        others |= dict.fromkeys(_INVOKES, "any")
        return others.get(self.kind, [self.number, self.version])

    def all(self) -> list[Node]:
        return [self, *(each for node in self.below for each in node.all())]


def _nodes(chance: random.Random, ident: str, depth: int) -> list[Node]:
    kinds = ["leaf"] * 6 + ["large"] + ["flaky", "function", "function", "map", "wait", "random"]
    kinds += ["once", "once", "stored", *_INVOKES]
    kinds += ["group"] * 3 if depth else ["event"]
    nodes = []
    for n in range(chance.randint(2, 8 if depth else 5)):
        kind = chance.choice(kinds)
        node = Node(kind, f"t{n}", chance.randrange(1000), f"{ident}_{n}")
        if kind == "group":
            node.below = _nodes(chance, node.ident, depth - 1)
            node.gathered = chance.random() < 1 / 2
        nodes.append(node)
    return nodes


class JobBook:
    """A notebook with one `%%job` cell.

    Args:
        chance: Source of all decisions.
        number: Number of the program.
    """

    def __init__(self, chance: random.Random, number: int) -> None:
        self._chance = chance
        self.job = f"job-{number}"
        self.shared = chance.random() < 1 / 4  # by several kernels at once
        self._root = Node("group", "", 0, "f", below=_nodes(chance, "f", 2))
        self._root.gathered = chance.random() < 1 / 3
        for node in self._root.all() if self.shared else ():
            # One kernel would end a doubt that another one is in.
            node.kind = "leaf" if node.kind == "once" else node.kind
        self._awaits = chance.random() < 1 / 2
        self._mode = chance.choice(["ignore", "rerun", "rerun"])
        self._last = ""
        self.generation = 0

    def edit(self) -> None:
        """Change what the next kernel executes: a function, or the run."""
        self.generation += 1
        chance, self._last = self._chance, ""
        functions = [node for node in self._root.all()[1:] if node.kind not in _PLAIN]
        kind = chance.choice(["edit", "edit", "edit", "reset", "fork"])
        top = [node for node in self._root.below if node.kind not in ("wait", "function")]
        if kind == "edit" and functions:
            chance.choice(functions).version += 1
        elif kind == "reset" and top and not self.shared:  # another kernel may be faster than it
            key = chance.choice(top).key
            self._last = f'note("reset", R.id, "{key}")\nR.reset("{key}")'
        elif kind == "fork" and top:
            self._last = f'F = R.fork(from_="{chance.choice(top).key}")'

    @property
    def codes(self) -> dict[str, int]:
        """Versions of the code of all tasks, by path."""
        nodes = self._root.all()[1:]
        codes = {self._path(node): node.code for node in nodes}
        maps = [node for node in nodes if node.kind == "map"]
        return codes | {f"{self._path(node)}/{n}": node.code for node in maps for n in range(3)}

    @property
    def cells(self) -> list[str]:
        """Cells that a kernel executes."""
        head = f"%%job {self.job} --no-tree --on-change {self._mode} --as R"
        lines = [head, f'note("mode", ctx.run.id, "{self._mode}", "{self.job}")']
        lines += self._defined(self._root.below)
        lines += self._calls(self._root)
        cells = [f"import asyncio\nONCE = {self._once}", "\n".join([*lines, "None"])]
        cells.append('note("ended", R.id)')
        return [*cells, self._last] if self._last else cells

    @property
    def _once(self) -> dict[str, Any]:
        """The code and the value of each task in doubt that a value may be given to, by path.

        Not where edited code is to be run again: that of a value from outside never is.
        """
        nodes = [node for node in self._root.all() if node.kind == "once"]
        is_known = self._mode == "ignore"
        return {self._path(node): [node.code, node.value] for node in nodes if is_known}

    def _defined(self, nodes: list[Node]) -> list[str]:
        return [line for node in nodes for line in self._define(node)]

    def _define(self, node: Node) -> list[str]:
        """Return the source of a task's function, with those that it calls."""
        name, result = node.ident, f"[{node.number}, {node.version}]"
        begin = f"    begun({node.code})"
        is_async = self._awaits and node.number % 2
        define = f"{'async ' if is_async else ''}def {name}"
        if node.kind in ("leaf", "once"):
            begin = begin.replace("begun", "begun_once" if node.kind == "once" else "begun")
            pause = ["    await asyncio.sleep(0)"] if is_async else []
            pause += [_EFFORT] if node.kind == "once" else []
            return ["import nbtasks as nb", f"{define}():", begin, *pause, f"    return {result}"]
        if node.kind == "flaky":
            fail = ["    if nb.current_task().attempt < 2:", '        raise OSError("flaky")']
            return ["import nbtasks as nb", f"def {name}():", begin, *fail, f"    return {result}"]
        if node.kind == "function":
            made = ["import nbtasks as nb", "@nb.task", f"def {name}(a, b=1):"]
            return [*made, begin, f"    return {result}"]
        if node.kind in ("large", "stored"):
            made = ["import nbtasks as nb", f"def {name}():", begin]
            return [*made, f"    return [{node.pattern!r} * {_REPEATS}, {node.version}]"]
        if node.kind == "map":
            return [f"{define}(x):", begin, f"    return [x, {node.version}]"]
        if node.kind != "group":
            return []
        own = [f"{'async ' if self._awaits else ''}def {name}(io):", begin]
        own += [f"    version = {node.version}"]
        own += ["    " + line for line in self._calls(node)]
        values = ", ".join(f"{each.ident}_value" for each in node.below if each.kind != "wait")
        return [*self._defined(node.below), *own, f"    return [{values}]"]

    def _calls(self, node: Node) -> list[str]:
        """Return the source that calls the tasks below a node."""
        lines, gathered = [], []
        for each in node.below:
            name = "_" if each.kind == "wait" else f"{each.ident}_value"
            call, wait = self._call(each), "await " if self._awaits else ""
            place = f"{self._path(each)!r}, {each.code}"
            if each.kind == "map":
                text = f"ack_map({place}, {wait}{call}, {each.value!r})"
            elif each.kind == "wait":
                text = f"{wait}{call}"
            elif each.kind == "large":
                text = f"ack({place}, summed({wait}{call}), {each.value!r})"
            elif each.kind == "stored":
                text = f"ack_stored({place}, {wait}{call}, {each.value!r})"
            elif each.kind == "event":
                text = f"ack({place}, ({wait}{call}).payload, {each.value!r})"
            elif each.kind in _INVOKES:
                note = "ack_invoked" if each.kind == "begin" else "ack_ended"
                text = f"{note}({place}, {wait}{call}, {each.number})"
            elif each.kind == "function" or not self._awaits:
                text = f"ack({place}, {call}, {each.value!r})"
            else:
                text = f"acked({place}, {call}, {each.value!r})"
                if node.gathered:
                    gathered.append((name, text))
                    continue
                text = f"await {text}"
            lines.append(f"{name} = {text}")
        if gathered:
            names, calls = (", ".join(each) for each in zip(*gathered, strict=True))
            lines.append(f"[{names}] = await asyncio.gather({calls})")
        return lines

    def _path(self, node: Node) -> str:
        """Return the path of a task."""
        keys = []
        for above in self._root.all()[1:]:
            if node in above.all():
                keys.append(f"{above.ident}[a]" if above.kind == "function" else above.key)
        return "/".join(keys)

    def _call(self, node: Node) -> str:
        key = f'"{node.key}"'
        if node.kind in ("leaf", "large"):
            return f"io.run_task({key}, {node.ident})"
        if node.kind in _INVOKES:
            return _INVOKES[node.kind].format(key=key, n=node.number)
        if node.kind == "stored":
            return f"io.run_task({key}, {node.ident}, options=nb.TaskOptions(on=elsewhere))"
        if node.kind == "once":
            return f"io.run_task({key}, {node.ident}, options=nb.TaskOptions(once=True))"
        if node.kind == "flaky":
            retry = "nb.Retry(3, min_delay=0.001, jitter=False)"
            return f"io.run_task({key}, {node.ident}, retry={retry})"
        if node.kind == "function":
            return f'{node.ident}("a")'
        if node.kind == "map":
            items = [node.number + n for n in range(3)]
            return f"io.map({key}, {node.ident}, {items}, concurrency=2)"
        if node.kind == "group":
            return f"io.run_task({key}, {node.ident}, io)"
        if node.kind == "wait":
            return f"io.wait({key}, {node.number % 40 / 1000})"
        if node.kind == "event":
            return f'io.wait_for_event({key}, "answer-{node.number}", timeout="90d")'
        return f"io.random({key})"


class TaskBook:
    """A notebook with `%%task` cells, each of which reads what the one above it has bound.

    Args:
        chance: Source of all decisions.
        number: Number of the program.
    """

    def __init__(self, chance: random.Random, number: int) -> None:
        self._chance = chance
        self.job = f"book-{number}"
        self.shared = False
        self._numbers = [chance.randrange(1000) for _ in range(chance.randint(2, 5))]
        self._versions = [0 for _ in self._numbers]
        self.generation = 0

    def edit(self) -> None:
        """Change one of the cells."""
        self.generation += 1
        self._versions[self._chance.randrange(len(self._versions))] += 1

    @property
    def codes(self) -> dict[str, int]:
        """Versions of the code of all tasks, by path."""
        count = len(self._versions)
        return {f"s{n}": zlib.crc32(repr(self._versions[: n + 1]).encode()) for n in range(count)}

    @property
    def cells(self) -> list[str]:
        """Cells that a kernel executes."""
        cells, total = ["x = 0"], 0
        for n, (number, version) in enumerate(zip(self._numbers, self._versions, strict=True)):
            code = self.codes[f"s{n}"]
            total += number + 1000 * version
            above = f"x{n - 1}" if n else "x"
            text = f"begun({code})\nx{n} = {above} + {number} + 1000 * {version}"
            cells.append(f"%%task s{n} --no-tree --job {self.job} --as R\n{text}")
            acknowledge = f'ack_cell(R.id, "s{n}", {code}, x{n}, {total})'
            cells.append(f'note("mode", R.id, "rerun", "{self.job}")\n{acknowledge}')
        return cells


Book = JobBook | TaskBook


def make_book(chance: random.Random, number: int) -> Book:
    """Return a new program."""
    kind = TaskBook if chance.random() < 1 / 4 else JobBook
    return kind(chance, number)
