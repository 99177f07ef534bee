"""How one entry of the audit is hashed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from vireid.service.state import AuditEntry

__all__ = ["BEGINNING", "canonical", "hash_of"]

BEGINNING = "0" * 64
"""What the first entry names as the hash before it."""


def canonical(value: Any) -> str:
    """JSON in one form only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def hash_of(entry: AuditEntry) -> str:
    """SHA-256 (hex) of everything an entry says, and of the hash of the entry before it."""
    said = [entry.number, entry.at, entry.actor, entry.action, entry.gallery, entry.details, entry.previous]
    return hashlib.sha256(canonical(said).encode()).hexdigest()
