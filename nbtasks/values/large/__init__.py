"""Large values: their parts in files of their own, and the contents of their records."""
