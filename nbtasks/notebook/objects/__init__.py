"""Objects that several names lead to: what they hold, where they are, how they are filled."""
