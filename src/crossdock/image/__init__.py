"""Images: references, registries, layouts and archives, layers, binary headers."""
