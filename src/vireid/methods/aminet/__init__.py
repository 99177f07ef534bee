"""AMINet: full body and upper body in two networks, aligned across modalities.

Jia and Armour, "Adaptive Illumination-Invariant Synergistic Feature Integration in a Stratified Granular Framework for
Visible-Infrared Re-Identification", arXiv 2502.21163, 2025; HMG-DBNet and IERNet are other names of it.
"""

from vireid.methods.aminet.method import AMINet
from vireid.methods.aminet.options import AMINetOptions

__all__ = ["AMINet", "AMINetOptions"]
