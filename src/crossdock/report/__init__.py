"""Frozen results to text. Nothing here prints."""
