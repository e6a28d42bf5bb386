"""Asks the index of each ecosystem, all packages at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from crossdock.errors import RegistryError
from crossdock.http.client import Http
from crossdock.http.urls import host_of
from crossdock.packages.indexes import alpine, apt, maven, npm, pypi, rpm, rubygems
from crossdock.packages.indexes.documents import Documents, IndexCache
from crossdock.packages.indexes.places import Places
from crossdock.packages.model import NOT_ASKED, Answer, Ecosystem, PackageRequest, Status


class Indexes:
    """All package indexes. ``ask`` is an ``Ask``; what was asked once is not asked again in this run."""

    def __init__(self, http: Http, places: Places, cache: IndexCache | None = None) -> None:
        self._http = http
        self._places = places
        self._documents = Documents(http, cache)

    def ask(self, requests: Sequence[PackageRequest]) -> Mapping[PackageRequest, Answer]:
        """The answers to all of ``requests``. What cannot be looked up is UNKNOWN, with the reason."""
        return self._http.run(self._all(requests)) if requests else {}

    async def _all(self, requests: Sequence[PackageRequest]) -> dict[PackageRequest, Answer]:
        answers = await asyncio.gather(*(self._one(request) for request in requests))
        return dict(zip(requests, answers, strict=True))

    async def _one(self, request: PackageRequest) -> Answer:
        try:
            return await self._asked(request)
        except RegistryError as error:
            where = f"{_host(error.where)}: " if error.where else ""
            return Answer(Status.UNKNOWN, f"{NOT_ASKED}: {where}{error.what}")

    def _asked(self, request: PackageRequest) -> Coroutine[Any, Any, Answer]:
        places, documents = self._places, self._documents
        match request.ecosystem:
            case Ecosystem.APT:
                return apt.ask(request, documents, places.mirrors)
            case Ecosystem.APK:
                return alpine.ask(request, documents, places.alpine)
            case Ecosystem.PIP:
                return pypi.ask(request, documents, places.pypi)
            case Ecosystem.NPM:
                return npm.ask(request, documents, places.npm)
            case Ecosystem.MAVEN:
                return maven.ask(request, documents, places.maven)
            case Ecosystem.GEM:
                return rubygems.ask(request, documents, places.rubygems)
            case Ecosystem.RPM:
                return rpm.ask(request, documents, places.rpm)
            case Ecosystem.ANDROID:
                return _unread()


async def _unread() -> Answer:
    return Answer(Status.UNKNOWN, f"{NOT_ASKED}: the index of the Android SDK is not read")


def _host(where: str) -> str:
    try:
        return host_of(where)
    except RegistryError:
        return where
