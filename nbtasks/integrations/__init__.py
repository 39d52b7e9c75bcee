"""Integrations that are ready-made. Each takes its library when it is made:
`pip install 'nbtasks[resend,smtp]'`."""

from __future__ import annotations

from nbtasks.integrations.database import DuckDB
from nbtasks.integrations.http import Http
from nbtasks.integrations.resend import Resend
from nbtasks.integrations.smtp import Smtp

__all__ = ["DuckDB", "Http", "Resend", "Smtp"]
