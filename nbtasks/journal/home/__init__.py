"""The journal of a home folder: segments of a write-ahead log, merged into DuckDB."""
