"""The command line. Nothing here imports torch or numpy before a command runs."""

from vireid.cli.app import main

__all__ = ["main"]
