"""What an execution shows in the running cell: its tree, and the outputs of reused tasks."""
