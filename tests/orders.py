"""Jobs that are triggered by an order, and note their calls."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

import nbtasks as nb

__all__ = ["Order", "take_orders"]


class Order(BaseModel):
    """Payload of an order."""

    number: int
    city: str = "Berlin"


def take_orders() -> list[Any]:
    """Make two jobs, of both forms, that an order triggers, and return the list of their calls."""
    calls: list[Any] = []

    @nb.job("blocking", trigger=nb.event_trigger("order", schema=Order))
    def blocking(payload: Order, io: nb.SyncIO) -> int:
        io.run_task("note", lambda: calls.append(["blocking", payload.number]))
        return payload.number

    @nb.job("awaiting", trigger=nb.event_trigger(["order", "refund"]))
    async def awaiting(payload: dict[str, Any], io: nb.AsyncIO) -> str:
        await io.run_task("note", lambda: calls.append(["awaiting", payload["number"]]))
        return "done"

    return calls
