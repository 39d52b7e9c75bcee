"""Definition of a job: its function with its parameters, and what surrounds each run of it."""
