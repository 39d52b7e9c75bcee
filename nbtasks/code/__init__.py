"""What the code of a function says: its source, what it reads, what it refers to."""
