"""What people see of a proof: what differs by instruction, the verdict, and what native programs have saved."""

from __future__ import annotations

from crossdock.assist.timing import Gain, Ran, StepTimes, gain
from crossdock.engines.model import BuildEvent, StepState
from crossdock.platforms import AMD64, ARM64
from crossdock.report.canvas import render
from crossdock.report.proved import Proof, proof_parts
from crossdock.report.style import Style
from crossdock.verify.compare import Comparison, Difference
from crossdock.verify.differing import Nature

RUN = "RUN /bin/sh -c make && make install # buildkit"
NAME = Difference(Nature.BUILD_NAME, "usr/bin/app", "section .note.gnu.build-id", RUN)
CODE = Difference(Nature.CODE, "usr/bin/app", "section .text", RUN)


GAIN = Gain(3, 10.0, 120.0, 20.0)


def shown(*differences: Difference, gained: Gain = GAIN) -> str:
    proof = Proof(Comparison(ARM64, 5, 3, 1234, differences), gained)
    return render(Style(100), proof_parts(proof, Style(100)))


def test_the_same_but_for_names_of_builds() -> None:
    assert shown(NAME) == (
        "RUN make && make install\n"
        "differs     file         what (native programs, emulated)\n"
        "build name  usr/bin/app  section .note.gnu.build-id\n"
        "\n"
        "✓ proved: linux/arm64 is the same with native programs and emulated: 1,234 files in 2 layers\n"
        "compared, 3 layers equal as a whole; what may differ does: 1 × build name\n"
        "  3 RUN instructions: 10.0 s with native programs (30.0 s with making the packs), 120.0 s emulated:\n"
        "12.0 times as fast, 4.0 times with the packs\n"
    )


def test_code_that_differs_comes_first_and_is_no_proof() -> None:
    text = shown(NAME, CODE, Difference(Nature.CONFIG, "config.User", '"a" and nothing'), gained=Gain(0, 0, 0, 0))
    assert text.index("section .text") < text.index("section .note.gnu.build-id")
    assert "The image\n" in text
    assert "✗ not proved: linux/arm64 differs: 1 × code, 1 × config (and 1 × build name, which may)" in text
    assert "RUN instruction" not in text


def test_only_steps_that_ran_both_ways_are_measured() -> None:
    assisted, emulated = StepTimes(), StepTimes()

    def done(times: StepTimes, name: str, seconds: float | None, state: StepState = StepState.DONE) -> None:
        for platform in (AMD64, ARM64):
            times(BuildEvent(state, "1", platform, "build", name, seconds=seconds))

    done(assisted, "RUN make", 2.0)
    done(emulated, "RUN make", 30.0)
    done(assisted, "RUN make test", 3.0)
    done(emulated, "RUN make test", None, StepState.CACHED)
    done(assisted, "COPY . .", 1.0)
    assisted(BuildEvent(StepState.DONE, "2", AMD64, "p", "RUN make-pack", seconds=9.0))
    assert gain(ARM64, assisted, emulated) == Gain(1, 2.0, 30.0, 9.0)
    assert assisted.ran(ARM64) == Ran(ARM64, 2, 5.0, 9.0)
