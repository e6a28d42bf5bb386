"""Mirrors of Docker's package repository: by name, by address, or the one that answers first."""

from __future__ import annotations

from dataclasses import dataclass

from crossdock.doctor.distribution import Distribution
from crossdock.http.client import Http
from crossdock.platforms import Platform


@dataclass(frozen=True)
class Mirror:
    """A copy of download.docker.com. ``name`` is what --mirror takes (``tuna``; an address is its own name), ``address``
    what ``/linux/…`` follows, without a slash at its end; ``why`` it was taken, a sentence for people, empty where it
    was asked for."""

    name: str
    address: str
    why: str = ""


def named(text: str) -> Mirror:
    """The mirror of this name, or at this http(s) address. Raises UsageError for anything else."""
    raise NotImplementedError


def nearest(http: Http, distribution: Distribution, platform: Platform) -> Mirror:
    """Of all that have the packages for this machine, the one that answers first."""
    raise NotImplementedError
