"""What builds images: buildx (Docker, BuildKit) and buildah (no daemon)."""
