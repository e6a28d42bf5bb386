"""Where a verified image goes, as docker buildx build's flags say it."""

from pathlib import Path

import pytest

from crossdock.cli.outputs import Destination, Output, parse_outputs
from crossdock.cli.publishing import check_outputs
from crossdock.errors import CrossdockError, UsageError


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("type=oci,dest=app.tar", Output(Destination.ARCHIVE, Path("app.tar"))),
        ("type=oci,dest=app,tar=false", Output(Destination.LAYOUT, Path("app"))),
        ("type=oci,dest=app.tar,name=a:1", Output(Destination.ARCHIVE, Path("app.tar"), ("a:1",))),
        ('type=oci,dest=app.tar,"name=a:1,b:2"', Output(Destination.ARCHIVE, Path("app.tar"), ("a:1", "b:2"))),
        ("type=docker", Output(Destination.ENGINE)),
        ("type=image", Output(Destination.ENGINE)),
        ("type=image,push=true,name=r/a:1", Output(Destination.REGISTRY, names=("r/a:1",))),
        ("type=registry", Output(Destination.REGISTRY)),
    ],
)
def test_outputs_mean_what_they_mean_to_buildx(text: str, output: Output) -> None:
    assert parse_outputs([text], push=False, load=False) == (output,)


def test_flags_and_outputs_add_up_without_repeating() -> None:
    found = parse_outputs(["type=registry", "type=cacheonly"], push=True, load=True)
    assert found == (Output(Destination.REGISTRY), Output(Destination.ENGINE))


@pytest.mark.parametrize(
    "text",
    [
        "type=local,dest=out",
        "out",
        "type=tar,dest=x.tar",
        "type=oci",
        "type=docker,dest=x",
        "type=oci,dest=x,compression=zstd",
        "type",
        "nonsense,type=oci",
    ],
)
def test_what_cannot_be_served_is_refused_before_the_build(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_outputs([text], push=False, load=False)
    assert "-o" in str(caught.value)


def test_everything_is_checked_before_the_build(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--push needs a name"):
        check_outputs([Output(Destination.REGISTRY)], ())
    with pytest.raises(UsageError, match="is a folder"):
        check_outputs([Output(Destination.ARCHIVE, tmp_path)], ())
    with pytest.raises(UsageError, match="exists already"):
        check_outputs([Output(Destination.LAYOUT, tmp_path)], ())
    with pytest.raises(CrossdockError, match="cannot write there"):
        check_outputs([Output(Destination.ARCHIVE, tmp_path / "no" / "app.tar")], ())
    with pytest.raises(UsageError):
        check_outputs([], ("Not A Name",))
