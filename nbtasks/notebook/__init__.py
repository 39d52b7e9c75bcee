"""The Jupyter edge: the only package that knows IPython and ipywidgets."""
