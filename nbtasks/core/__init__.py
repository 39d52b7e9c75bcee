"""Values and rules that every other package needs, and the only place that asks for the time."""
