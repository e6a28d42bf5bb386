"""What porting makes of a Dockerfile: the author's style, and everything that belongs to one change."""

from __future__ import annotations

import pytest
from worlds import Everything, digest_of, ported

SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def result(text: str, world: Everything | None = None) -> str:
    return ported(text.encode(), world or Everything(), unsafe=True).dockerfile.data.decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("FROM a\nRUN true\n", "FROM a\nRUN true\n"),
        (
            "FROM a\nRUN curl -O http://e.c/t-amd64\n",
            "FROM a\nARG TARGETARCH\nRUN curl -O http://e.c/t-${TARGETARCH}\n",
        ),
        (
            "FROM a\n\nARG V=1\n\nRUN curl -O http://e.c/t-amd64\n",
            "FROM a\n\nARG TARGETARCH\nARG V=1\n\nRUN curl -O http://e.c/t-${TARGETARCH}\n",
        ),
        (
            "FROM a\n\n# tool\nRUN curl -O http://e.c/t-amd64\n",
            "FROM a\n\nARG TARGETARCH\n\n# tool\nRUN curl -O http://e.c/t-${TARGETARCH}\n",
        ),
        (
            "from a\r\n\r\nrun curl -O http://e.c/t-amd64\r\n",
            "from a\r\n\r\narg TARGETARCH\r\n\r\nrun curl -O http://e.c/t-${TARGETARCH}\r\n",
        ),
        (
            "FROM a\nARG TARGETARCH\nRUN wget http://e.c/t-amd64",
            "FROM a\nARG TARGETARCH\nRUN wget http://e.c/t-${TARGETARCH}",
        ),
    ],
)
def test_the_argument_is_declared_once_where_the_author_would(before: str, after: str) -> None:
    assert result(before) == after


CASE = """\
case "$TARGETARCH" in \\
{0}    amd64) arch=x64 ;; \\
{0}    arm64) arch=arm64 ;; \\
{0}    *) echo "unsupported architecture: $TARGETARCH" >&2; exit 1 ;; \\
{0}esac"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("RUN curl -O {}", "RUN " + CASE.format("    ") + " \\\n    && curl -O {}"),
        ("RUN cd / \\\n  && curl -O {}", "RUN " + CASE.format("  ") + " \\\n  && cd / \\\n  && curl -O {}"),
        ("RUN cd / && \\\n   curl -O {}", "RUN " + CASE.format("   ") + " && \\\n   cd / && \\\n   curl -O {}"),
        (
            "RUN set -eux; \\\n\tcurl -O {}",
            "RUN set -eux; \\\n\t" + CASE.format("\t").replace("\t    ", "\t\t") + "; \\\n\tcurl -O {}",
        ),
        ("RUN set -ex && \\\n  curl -O {}", "RUN set -ex && \\\n  " + CASE.format("  ") + " && \\\n  curl -O {}"),
        ("RUN set -e \\\n && curl -O {}", "RUN set -e \\\n && " + CASE.format(" ") + " \\\n && curl -O {}"),
        ("RUN sleep 9 & curl -O {}", "RUN " + CASE.format("    ") + "; \\\n    sleep 9 & curl -O {}"),
        (
            "RUN <<E\nset -e\ncurl -O {}\nE",
            "RUN <<E\nset -e\n" + CASE.format("").replace(" \\\n", "\n") + "\ncurl -O {}\nE",
        ),
    ],
)
def test_a_choice_is_written_in_the_style_of_its_run(before: str, after: str) -> None:
    text = result("FROM a\nARG TARGETARCH\n" + before.format("https://e.c/1/t-x64.tgz"))
    assert text == "FROM a\nARG TARGETARCH\n" + after.format("https://e.c/1/t-${arch}.tgz")


def test_a_choice_is_made_once_in_a_run() -> None:
    text = result(
        "FROM a\nRUN curl -O https://e.c/one-x64.tgz && curl -O https://e.c/two-x64.tgz "
        "&& curl -O https://e.c/three-linux64.tgz && tar xf one-x64.tgz\n"
    )
    assert text.count("case ") == 1
    assert "amd64) arch=x64; three_arch=linux64 ;;" in text
    assert "arm64) arch=arm64; three_arch=linux-arm64 ;;" in text
    assert "one-${arch}.tgz && curl -O https://e.c/two-${arch}.tgz" in text
    assert text.endswith("three-${three_arch}.tgz && tar xf one-${arch}.tgz\n")


def test_the_authors_own_choice_is_used_and_extended() -> None:
    text = result(
        'FROM a\nARG TARGETARCH\nRUN case "$TARGETARCH" in amd64) A=x64 ;; arm64) A=arm64 ;; esac \\\n'
        "    && curl -O https://e.c/t-$A.tgz && curl -O https://e.c/u-x64.tgz && curl -O https://e.c/w-linux64.tgz\n"
    )
    assert "in amd64) A=x64; arch=linux64 ;; arm64) A=arm64; arch=linux-arm64 ;; esac \\\n" in text
    assert "u-${A}.tgz" in text
    assert "w-${arch}.tgz" in text


def test_a_variable_in_which_the_author_has_the_name_is_used() -> None:
    text = result(
        "FROM debian\nRUN ARCH=$(dpkg --print-architecture) && wget https://e.c/t-amd64.tgz && tar xf t-amd64.tgz\n"
    )
    assert text.endswith("&& wget https://e.c/t-${ARCH}.tgz && tar xf t-${ARCH}.tgz\n")
    assert "TARGETARCH" not in text


def test_names_in_later_steps_go_with_the_download() -> None:
    text = result(
        "FROM a\nRUN curl -L https://e.c/node-v1-linux-amd64.tar.xz -o node-v1-linux-amd64.tar.xz > log-amd64\n"
        "RUN tar xf node-v1-linux-amd64.tar.xz && rm node*amd64.tar.xz\n"
        "ENV PATH=/opt/node-v1-linux-amd64/bin:$PATH\nWORKDIR /opt/node-v1-linux-amd64\n"
        "RUN rm -rf /var/lib/amd64 other-amd64\n"
    )
    assert text.count("node-v1-linux-${TARGETARCH}") == 5
    assert "> log-amd64" in text
    assert "/var/lib/amd64 other-amd64" in text


def test_a_variable_that_holds_the_name_of_the_file_goes_with_it() -> None:
    before = (
        "FROM a\nENV URL=https://e.c/t-{0} FILE=t-{0} SUM={1}\n"
        'RUN curl -fO "$URL" && echo "$SUM  $FILE" | sha256sum -c && mv "$FILE" /bin/t\n'
    )
    text = result(before.format("amd64", SHA))
    assert "ENV URL=https://e.c/t-${TARGETARCH} FILE=t-${TARGETARCH} SUM=" in text
    assert f"arm64) SUM={digest_of('https://e.c/t-arm64')} ;;" in text
    text = result(before.format("linux64", SHA))
    assert "ENV URL=https://e.c/t-linux64 FILE=t-linux64 SUM=" in text
    sum_ = digest_of("https://e.c/t-linux-arm64")
    assert f"arm64) URL=https://e.c/t-linux-arm64; FILE=t-linux-arm64; SUM={sum_} ;;" in text


def test_a_name_belongs_to_the_download_that_it_is_most_like() -> None:
    text = result(
        "FROM a\nRUN wget https://e.c/tool-x86_64-unknown-linux-gnu.tgz https://e.c/tool-extra-x64.tgz \\\n"
        "    && tar xf tool-x86_64-unknown-linux-gnu.tgz && tar xf tool-extra-x64.tgz && echo x64 x86_64\n"
    )
    assert "tar xf tool-$(uname -m)-unknown-linux-gnu.tgz && tar xf tool-extra-${arch}.tgz && echo x64 x86_64" in text


def test_a_file_that_was_saved_under_another_name_keeps_it() -> None:
    url = "https://github.com/krallin/tini/releases/download/v0.19.0/tini"
    text = result(f"FROM a\nRUN curl -L {url} -o tini && mv tini /sbin/tini\n")
    assert text.endswith("/v0.19.0/${tini_file} -o tini && mv tini /sbin/tini\n")
    text = result(f"FROM a\nRUN curl -LO {url} && mv tini /sbin/tini\n")
    assert text.endswith("/v0.19.0/${tini_file} && mv ${tini_file} /sbin/tini\n")


@pytest.mark.parametrize("missing", ["64.tgz", ".asc"])
def test_a_signature_is_changed_with_its_file_or_neither(missing: str) -> None:
    before = (
        "FROM a\nRUN curl -O https://e.c/t-amd64.tgz.asc && curl -O https://e.c/t-amd64.tgz \\\n"
        "    && gpg --verify t-amd64.tgz.asc t-amd64.tgz\n"
    )
    assert "amd64" not in result(before)
    left = ported(before.encode(), Everything(missing)).left
    assert {decision.reason for decision in left} == {"no arm64 counterpart was found under any name that is usual"}


@pytest.mark.parametrize(
    ("before", "amd64", "arm64"),
    [
        (f"RUN curl -O {{}} && echo '{SHA}  t-amd64.tgz' | sha256sum -c -", f"t_sha256={SHA}", "t_sha256={}"),
        (f"RUN curl -O {{}} && sha256sum -c <<< '{SHA}  t-amd64.tgz'", f"t_sha256={SHA}", "t_sha256={}"),
        (f'RUN SUM={SHA} && curl -o t {{}} && echo "$SUM  t" | sha256sum -c', f"t_sha256={SHA}", "t_sha256={}"),
        (f'ARG SUM={SHA}\nRUN curl -o t {{}} && echo "$SUM  t" | sha256sum -c', "", "SUM={}"),
        (f'RUN curl -o t {{}}\nRUN echo "{SHA} */t" | sha256sum -c', f"t_sha256={SHA}", "t_sha256={}"),
        (f'ADD {{}} /t\nRUN echo "{SHA}  /t" | sha256sum -c', f"t_sha256={SHA}", "t_sha256={}"),
    ],
)
def test_a_checksum_is_that_of_the_file_for_the_architecture(before: str, amd64: str, arm64: str) -> None:
    text = "FROM a\n" + before.format("https://e.c/t-amd64.tgz") + "\n"
    after = result(text)
    assert f"arm64) {arm64.format(digest_of('https://e.c/t-arm64.tgz'))} ;;" in after
    assert f"amd64) {amd64} ;;".replace(")  ;;", ") ;;") in after
    offline = ported(text.encode(), None, unsafe=True)
    assert offline.dockerfile.data.decode() == text
    assert any("checksum" in left.reason for left in offline.left)


def test_checksums_between_which_the_author_chooses_are_left_alone() -> None:
    text = result(
        f"FROM a\nARG ARCH=amd64\nENV SUM_amd64={SHA} SUM_arm64={SHA[::-1]}\n"
        'RUN curl -o t https://e.c/t-$ARCH && eval "sum=\\$SUM_$ARCH" && echo "$SUM_amd64  t" | sha256sum -c\n'
    )
    assert "ARG ARCH=${TARGETARCH}\n" in text
    assert "case" not in text


def test_a_checksum_from_outside_makes_the_fix_unsafe() -> None:
    text = 'FROM a\nARG SUM\nRUN curl -O https://e.c/t-amd64 && echo "$SUM  t-amd64" | sha256sum -c\n'
    assert ported(text.encode(), Everything()).changes == ()
    assert "t-${TARGETARCH}" in result(text)


def test_an_argument_gets_its_value_wherever_it_is_used_and_in_what_is_made_of_it() -> None:
    text = result(
        "FROM a\nARG ARCH=x64\nARG FILE=t-$ARCH.tgz\nARG URL=https://e.c/$FILE\n"
        "RUN curl -O $URL\nRUN echo no\nRUN if [ $ARCH = arm64 ]; then echo arm; fi\n"
    )
    assert "arm64) ARCH=arm64; FILE=t-$ARCH.tgz; URL=https://e.c/$FILE ;;" in text
    assert text.count("arm64) ARCH=arm64 ;;") == 1
    assert "\nRUN echo no\n" in text


def test_what_the_image_keeps_in_env_is_not_mended_by_giving_the_build_another_value() -> None:
    before = "FROM a\nENV OPTIONS --with-libdir=lib/x86_64-linux-gnu\nRUN configure $OPTIONS\n"
    left = ported(before.encode(), Everything(), unsafe=True)
    assert not left.changes
    assert {decision.finding.location.line for decision in left.left} == {2}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("RUN curl -O 'https://e.c/t-amd64'", 'RUN curl -O "https://e.c/t-${TARGETARCH}"'),
        ("RUN curl -O 'https://e.c/t-amd64?a=$b'", "RUN curl -O 'https://e.c/t-'\"${TARGETARCH}\"'?a=$b'"),
        ("RUN bash -c 'curl -O https://e.c/t-amd64'", "RUN bash -c 'curl -O https://e.c/t-${TARGETARCH}'"),
        ("ARG A='amd64'\nRUN curl -O https://e.c/t-$A", 'ARG A="${TARGETARCH}"\nRUN curl -O https://e.c/t-$A'),
    ],
)
def test_quotes_let_the_variable_be_expanded(before: str, after: str) -> None:
    assert result(f"FROM a\nARG TARGETARCH\n{before}\n") == f"FROM a\nARG TARGETARCH\n{after}\n"


def test_the_machine_is_not_asked_where_it_is_not_the_target() -> None:
    text = result(
        "FROM --platform=$BUILDPLATFORM a AS b\nRUN curl -fo /t https://e.c/t-x86_64\nFROM a\nCOPY --from=b /t /t\n"
    )
    assert "uname" not in text
    assert "arm64) arch=aarch64 ;;" in text


def test_folders_in_an_added_archive_follow_and_the_archive_keeps_its_name() -> None:
    text = result("FROM a\nADD https://e.c/t-x64.tgz /\nRUN tar xf /t-x64.tgz && mv /t-x64/t /bin && rm /t-x64.tgz\n")
    assert "COPY --from=t /t /t-x64.tgz\n" in text
    assert text.endswith("&& tar xf /t-x64.tgz && mv /t-${arch}/t /bin && rm /t-x64.tgz\n")


def test_additions_get_small_stages_of_their_own_but_share_them_for_one_file() -> None:
    one, other = (f"ADD https://e.c/{number}/tool_x86_64 /usr/bin/tool\n" for number in (1, 2))
    text = result(f"FROM a\n{one}{one}{other}FROM a\n{one}")
    assert [line for line in text.splitlines() if line.startswith("COPY")] == [
        "COPY --from=tool /tool /usr/bin/tool",
        "COPY --from=tool /tool /usr/bin/tool",
        "COPY --from=tool-2 /tool-2 /usr/bin/tool",
        "COPY --from=tool-3 /tool-3 /usr/bin/tool",
    ]
    assert [text.count(f"FROM {name}-${{TARGETARCH}} AS {name}\n") for name in ("tool", "tool-2", "tool-3")] == [1] * 3
