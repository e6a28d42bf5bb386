"""Package indexes: what Debian, Alpine, the distributions of RPMs, PyPI, npm, Maven and RubyGems have for arm64."""
