"""Visible-infrared person re-identification: train, evaluate and search across modalities."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("vireid")
