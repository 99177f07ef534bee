"""What every request passes: the envelope (id, log, figures, headers) and the guard (key, right, rate, bytes)."""

from vireid.service.http.envelope import Envelope
from vireid.service.http.guard import Guard

__all__ = ["Envelope", "Guard"]
