"""Ready-made integrations.

Creating a `Resend` or an `Smtp` needs its library: `pip install 'nbtasks[resend,smtp]'`.
"""

from __future__ import annotations

from nbtasks.integrations.database import DuckDB
from nbtasks.integrations.http import Http
from nbtasks.integrations.resend import Resend
from nbtasks.integrations.smtp import Smtp

__all__ = ["DuckDB", "Http", "Resend", "Smtp"]
