"""Pages that a person reads after a run."""
