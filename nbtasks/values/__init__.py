"""Codecs for values of other libraries, beside JSON: one module per library."""
