"""Real kernels for tests: start one, execute cells in it, stop it, kill it."""

from __future__ import annotations

import os
import queue
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Self

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

TIMEOUT = 60.0
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Execution:
    """One cell, as a front end sees it: its outputs in their order, and the reply."""

    kernel: Kernel
    msg_id: str
    outputs: list[dict[str, Any]] = field(default_factory=list)
    reply: dict[str, Any] = field(default_factory=dict)
    idle: bool = False
    idle_at: float = 0.0

    def wait_until(self, reached: Callable[[Self], object], what: str = "the cell") -> Self:
        """Reads messages until something is true of what has come."""
        deadline = monotonic() + TIMEOUT
        while not reached(self):
            left = deadline - monotonic()
            assert left > 0, f"waited {TIMEOUT} s for {what}; so far: {self.outputs}"
            self.kernel.read(left)
        return self

    def wait_for_text(self, text: str) -> Self:
        """Waits until the cell has printed a text."""
        return self.wait_until(lambda seen: text in seen.text, f"{text!r}")

    def finish(self) -> Self:
        """Waits until the cell has ended."""
        self.wait_until(lambda seen: seen.idle, "idle")
        deadline = monotonic() + TIMEOUT
        while not self.reply:
            self.kernel.read_reply(deadline - monotonic())
        return self

    @property
    def text(self) -> str:
        """Return what the cell printed."""
        return "".join(o["text"] for o in self.outputs if o["type"] == "stream")

    @property
    def status(self) -> str:
        """ok, error or aborted."""
        return str(self.reply["status"])

    @property
    def error(self) -> str:
        """The error as the cell shows it, without colours."""
        shown = ["\n".join(o["traceback"]) for o in self.outputs if o["type"] == "error"]
        return _COLOURS.sub("", "\n".join(shown))

    @property
    def value(self) -> str | None:
        """Its Out, as plain text."""
        found = [o["data"]["text/plain"] for o in self.outputs if o["type"] == "execute_result"]
        return found[-1] if found else None


class Kernel:
    """A kernel in a process of its own, with its own home; killed at the end of the block."""

    def __init__(self, folder: Path, home: Path | None = None) -> None:
        environment = os.environ | {
            "NBTASKS_HOME": str(home or folder / "home"),
            "IPYTHONDIR": str(folder / "ipython"),
            "PYTHONFAULTHANDLER": "1",
        }
        self._executions: dict[str, Execution] = {}
        self.manager = KernelManager(kernel_name="python3", transport="ipc", ip=str(folder / "k"))
        # This Python's, whatever the installed kernel spec says.
        assert self.manager.kernel_spec is not None
        self.manager.kernel_spec.argv[0] = sys.executable
        self.manager.start_kernel(env=environment, cwd=str(folder))
        self.client: BlockingKernelClient = self.manager.client()
        self.client.start_channels()
        try:
            self.client.wait_for_ready(timeout=TIMEOUT)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        provisioner: Any = self.manager.provisioner
        return int(provisioner.pid)

    def start(self, code: str) -> Execution:
        """Sends a cell and does not wait for it."""
        msg_id = self.client.execute(code, stop_on_error=True, allow_stdin=False)
        execution = self._executions[msg_id] = Execution(self, msg_id)
        return execution

    def run(self, code: str) -> Execution:
        """Executes a cell to its end, whatever that is."""
        return self.start(code).finish()

    def ask(self, code: str) -> str:
        """The Out of a cell that must succeed."""
        done = self.run(code)
        assert done.status == "ok", done.error
        return done.value or ""

    def stop(self, execution: Execution) -> float:
        """Press the Stop button, and return the seconds until the cell has ended."""
        began = monotonic()
        self.manager.interrupt_kernel()
        execution.finish()
        return execution.idle_at - began

    def kill(self) -> None:
        """SIGKILL, as the system does when memory runs out."""
        os.kill(self.pid, signal.SIGKILL)
        self.close()

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()

    def read(self, timeout: float) -> None:
        """Takes one message of the outputs' channel."""
        try:
            message = self.client.get_iopub_msg(timeout=min(timeout, 1.0))
        except queue.Empty:
            assert self.manager.is_alive(), "the kernel died"
            return
        execution = self._executions.get(message["parent_header"].get("msg_id", ""))
        if execution is None:
            return
        content, kind = message["content"], message["msg_type"]
        if kind == "status" and content["execution_state"] == "idle":
            execution.idle, execution.idle_at = True, monotonic()
        elif kind == "update_display_data":
            self._update(content)
        elif kind in ("stream", "display_data", "execute_result", "error"):
            execution.outputs.append({"type": kind, **content})

    def _update(self, content: dict[str, Any]) -> None:
        for execution in self._executions.values():
            for output in execution.outputs:
                if output.get("transient", {}).get("display_id") == content["transient"].get(
                    "display_id", ""
                ):
                    output["data"] = content["data"]

    def read_reply(self, timeout: float) -> None:
        """Takes one reply."""
        reply = self.client.get_shell_msg(timeout=max(timeout, 0.1))
        execution = self._executions.get(reply["parent_header"].get("msg_id", ""))
        if execution is not None and reply["msg_type"] == "execute_reply":
            execution.reply = reply["content"]
