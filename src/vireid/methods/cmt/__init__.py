"""CMT: a cross-modality transformer that completes every picture by its missing modality and adapts to every query.

Jiang et al., "Cross-Modality Transformer for Visible-Infrared Person Re-Identification", ECCV 2022.
"""

from vireid.methods.cmt.method import CMT
from vireid.methods.cmt.options import CMTOptions

__all__ = ["CMT", "CMTOptions"]
