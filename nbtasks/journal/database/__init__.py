"""DuckDB: the only package that opens the journal's database."""
