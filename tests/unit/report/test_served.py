"""What is shown when a registry is ready."""

from pathlib import Path

import report_samples as sample

from crossdock.host.registry import RegistrySettings
from crossdock.report.served import served_text
from crossdock.report.style import Style


def test_a_registry_says_where_it_is_and_how_it_is_used() -> None:
    assert served_text(sample.SERVED, RegistrySettings(Path("images")), Style()).splitlines() == [
        "registry  http://localhost:5000",
        "images    /srv/images",
        "push      crossdock push app.tar localhost:5000/app:1",
        "end       Ctrl-C; the images stay",
    ]


def test_a_mirror_is_pulled_from_only() -> None:
    settings = RegistrySettings(Path("images"), mirror="https://registry.example", htpasswd=Path("users"))
    text = served_text(sample.SERVED, settings, Style())
    assert "push" not in text
    assert "localhost:5000/NAME:TAG comes from https://registry.example" in text
    assert "docker login localhost:5000" in text
