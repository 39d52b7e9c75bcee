"""Widgets of the notebook: the panel of a run and its parts."""
