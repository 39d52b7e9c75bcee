"""The tree of a run: nodes, and what draws them."""
