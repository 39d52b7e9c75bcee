"""Runs that fail."""

from __future__ import annotations

from typing import Any

import pytest

import nbtasks as nb


def caught(job: nb.Job, kind: type[BaseException] = nb.TaskFailed) -> Any:
    with pytest.raises(kind) as info:
        job.run()
    return info.value
