"""MCF: learning without labels, with clusters of each modality, a channel-augmented third one, and what joins them.

Sun, Du and Gao, "A Multimodule Collaborative Framework for Unsupervised Visible-Infrared Person Re-Identification with
Channel Enhancement Modality"; the core is that of TokenMatcher (Liu et al., AAAI 2025).
"""

from vireid.methods.mcf.method import MCF
from vireid.methods.mcf.options import MCFOptions

__all__ = ["MCF", "MCFOptions"]
