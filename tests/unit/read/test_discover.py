"""Finding Dockerfiles in folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crossdock.errors import InputError
from crossdock.read.discover import FoundFiles, find_files


def make(root: Path, **files: str) -> None:
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def found(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in find_files([root]).dockerfiles]


def skipped(root: Path) -> dict[str, str]:
    return {Path(entry.what).relative_to(root).as_posix(): entry.why for entry in find_files([root]).skipped}


def test_names(tmp_path: Path) -> None:
    yes = ["Containerfile", "Containerfile.x", "Dockerfile", "Dockerfile.prod", "app.Dockerfile", "app.dockerfile"]
    no = ["Dockerfile.dockerignore", "Dockerfile~", "Dockerfile.bak", ".Dockerfile.swp", "Dockerfile.orig",
          "#Dockerfile.x", ".#app.Dockerfile", "Dockerfiles", "MyDockerfile", "README.md"]  # fmt: skip
    make(tmp_path, **dict.fromkeys(yes + no, ""), **{"Dockerfile.j2": "", "a/b/Dockerfile": "", ".git/Dockerfile": ""})
    assert found(tmp_path) == sorted([*yes, "a/b/Dockerfile"])
    assert skipped(tmp_path) == {"Dockerfile.j2": "a template, not a Dockerfile"}


def test_gitignore_of_every_level(tmp_path: Path) -> None:
    make(
        tmp_path,
        **{
            ".git/HEAD": "",
            ".gitignore": "node_modules/\n/build\n*.prod\n!\n[z-a]\n",
            "node_modules/x/Dockerfile": "",
            "build/Dockerfile": "",
            "sub/build/Dockerfile": "",
            "sub/.gitignore": "Dockerfile.dev\n!Dockerfile.prod\n",
            "sub/Dockerfile.dev": "",
            "sub/Dockerfile.prod": "",
            "Dockerfile.prod": "",
        },
    )
    assert found(tmp_path) == ["sub/Dockerfile.prod", "sub/build/Dockerfile"]
    assert skipped(tmp_path) == {
        "sub/Dockerfile.dev": "left out by .gitignore",
        "Dockerfile.prod": "left out by .gitignore",
    }
    assert found(tmp_path / "sub") == ["Dockerfile.prod", "build/Dockerfile"]


def test_gitignore_above_the_folder_counts_within_the_repository_only(tmp_path: Path) -> None:
    make(tmp_path, **{".gitignore": "Dockerfile\n", "repo/.git/HEAD": "", "repo/a/Dockerfile": ""})
    assert found(tmp_path / "repo" / "a") == ["Dockerfile"]
    make(tmp_path, **{"repo/.gitignore": "a/Dockerfile\n"})
    assert found(tmp_path / "repo" / "a") == []


def test_node_modules_is_searched_unless_it_is_ignored(tmp_path: Path) -> None:
    make(tmp_path, **{"node_modules/Dockerfile": ""})
    assert found(tmp_path) == ["node_modules/Dockerfile"]


def test_a_file_by_name_is_taken_as_it_is_and_once(tmp_path: Path) -> None:
    make(tmp_path, **{".git/HEAD": "", ".gitignore": "*\n", "strange.txt": "", "Dockerfile": ""})
    names = [tmp_path / "strange.txt", tmp_path / "Dockerfile", tmp_path / "strange.txt"]
    assert find_files(names) == FoundFiles((names[0], names[1]))


def test_a_link_to_the_folder_is_followed_and_links_inside_are_not(tmp_path: Path) -> None:
    make(tmp_path, **{"real/.git/HEAD": "", "real/.gitignore": "x/\n", "real/Dockerfile": "", "real/x/Dockerfile": ""})
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "loop").symlink_to(".")
    assert found(tmp_path / "link") == ["Dockerfile"]


def test_paths_stay_as_they_were_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, **{"a/Dockerfile": ""})
    monkeypatch.chdir(tmp_path)
    assert find_files([Path()]).dockerfiles == (Path("a/Dockerfile"),)
    assert find_files([Path("a/../a")]).dockerfiles == (Path("a/../a/Dockerfile"),)


def test_what_does_not_exist(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, says in (("none", "no such file"), ("pipe", "neither a file nor a folder")):
        with pytest.raises(InputError, match=says) as caught:
            find_files([tmp_path / name])
        assert caught.value.where == str(tmp_path / name)


def test_a_folder_that_cannot_be_read_is_skipped_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, **{"shut/Dockerfile": "", "Dockerfile": ""})
    scan = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert found(tmp_path) == ["Dockerfile"]
    assert skipped(tmp_path) == {"shut": "the folder cannot be read: Permission denied"}


def others(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in find_files([root]).others]


def test_other_files_by_their_names(tmp_path: Path) -> None:
    yes = [
        ".github/workflows/ci.yml", ".gitlab-ci.yml", "compose.yaml", "docker-bake.hcl", "docker-compose.prod.yml",
        "deploy/docker-bake.json",
    ]  # fmt: skip
    no = [".github/dependabot.yml", "config.yaml", "package.json", "main.hcl", "values.yaml"]
    make(tmp_path, **dict.fromkeys(yes + no, ""))
    assert others(tmp_path) == sorted(yes)


def test_manifests_by_their_content(tmp_path: Path) -> None:
    pod = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n    - image: a\n"
    make(
        tmp_path,
        **{
            "k8s/pod.yaml": pod,
            "k8s/service.yaml": "apiVersion: v1\nkind: Service\n",
            "k8s/template.yaml": pod.replace("a\n", "{{ .Values.image }}\n"),
            "k8s/pod.txt": pod,
        },
    )
    assert others(tmp_path) == ["k8s/pod.yaml"]


def test_the_values_of_a_chart_are_read_and_its_templates_are_told(tmp_path: Path) -> None:
    make(
        tmp_path,
        **{
            "chart/Chart.yaml": "name: x\n",
            "chart/values.yaml": "",
            "chart/templates/pod.yaml": "apiVersion: v1\nimage: x\n",
        },
    )
    assert others(tmp_path) == ["chart/values.yaml"]
    (told,) = find_files([tmp_path]).skipped
    assert told.why.startswith("render them: helm template")


def test_a_named_file_is_what_its_name_says(tmp_path: Path) -> None:
    make(tmp_path, **{"app.docker": "", "stack.yml": "", "bake.hcl": ""})
    found = find_files([tmp_path / name for name in ("app.docker", "stack.yml", "bake.hcl")])
    assert [path.name for path in found.dockerfiles] == ["app.docker"]
    assert [path.name for path in found.others] == ["stack.yml", "bake.hcl"]
