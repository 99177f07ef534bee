"""Trained models as ONNX graphs, with a report of how far their answers are from the model's. This needs torch."""

from vireid.export.exporting import export_bundle
from vireid.export.int8 import Int8

__all__ = ["Int8", "export_bundle"]
