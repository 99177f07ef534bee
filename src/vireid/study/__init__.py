"""Studies: registered questions, the runs that answer them, what the answers are worth. Nothing is imported here."""
