"""What values of other libraries are recorded as, beside JSON: one module for each library."""
