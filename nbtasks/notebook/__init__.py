"""The Jupyter edge: the only place that knows IPython and ipywidgets."""
