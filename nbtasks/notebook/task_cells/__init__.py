"""Cells made durable as they stand: `%%task KEY`."""
