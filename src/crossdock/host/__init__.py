"""Facts about this machine and the few things crossdock changes on it."""
