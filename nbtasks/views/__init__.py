"""Views of the journal: trees, frames and plots."""
