"""Python values as records, and records as values again."""
