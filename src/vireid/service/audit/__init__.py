"""The audit: who did what, to which gallery, when and why, in a chain of hashes whose heads are signed and anchored."""

from vireid.service.audit.anchors import Anchor, Anchors
from vireid.service.audit.ledger import Ledger, Record
from vireid.service.audit.verify import Finding, Verification, verify

__all__ = ["Anchor", "Anchors", "Finding", "Ledger", "Record", "Verification", "verify"]
