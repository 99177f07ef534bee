"""Looking at a network as it is in use, in the middle of its training."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["evaluating"]


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode meanwhile (no dropout, the running statistics of BatchNorm); then the mode it was in."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
