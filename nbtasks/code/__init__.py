"""Analysis of functions: their source, the names they read, the code they refer to."""
