"""One rule a file. RULES lists them."""
