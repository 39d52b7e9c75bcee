"""Values of other libraries as records: one module for each library."""
