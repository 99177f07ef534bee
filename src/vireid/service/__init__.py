"""Person search as a service, over HTTP."""
