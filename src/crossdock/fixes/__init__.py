"""Choosing fixes, proving them against the real world, applying them."""
