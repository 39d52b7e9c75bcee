"""Jobs and their runs, and what this process does with them."""
