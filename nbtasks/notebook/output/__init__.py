"""Output of an execution in the running cell: its tree, and what its reused tasks have shown."""
