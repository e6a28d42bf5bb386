"""Builders of several nodes, and the registry settings that BuildKit and buildah build with."""
