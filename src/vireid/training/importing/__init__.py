"""Checkpoints that others released, as bundles or start weights. Import each module by its own name; all need torch."""
