"""Person search as a service, over HTTP: `vireid serve`. Nothing here needs torch; the model's encoder may."""

from vireid.service.app import create_app
from vireid.service.core import Core, open_state
from vireid.service.settings import Settings, read_settings

__all__ = ["Core", "Settings", "create_app", "open_state", "read_settings"]
