"""Jupyter integration: the only package that imports IPython and ipywidgets."""
