"""Drafts that the law asks the operator for, filled with what configuration and database say."""

from vireid.service.documents.drafts import DOCUMENTS, drafts

__all__ = ["DOCUMENTS", "drafts"]
