"""Package indexes: what Debian, Alpine, PyPI, npm, Maven and RubyGems have for arm64."""
