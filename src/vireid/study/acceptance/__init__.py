"""Whether the synthetic benchmark may be trusted: every acceptance item, measured by `vireid data audit-benchmark`."""
