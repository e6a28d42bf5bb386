"""Packages that an image installs: which, from where, and whether they exist for the target platform."""
