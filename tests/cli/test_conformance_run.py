"""The driver of the official conformance suite: how it is found, followed and reported."""

from pathlib import Path

import pytest

from conformance.mode import Mode
from conformance.report import EXCLUDED, NoReport, Outcome, Verdict, markdown, read, text
from conformance.stand_ins import IMAGES, recipe
from conformance.suite import Following, NoSuite, arguments, find
from mesh_local.client_image import client_recipe

ROOT = Path(__file__).parents[2]

HEADLESS = "of the <service>.<ns>.svc.clusterset.local domain for a headless service should return"
ADDRESSES = f"A DNS query {HEADLESS} the ready endpoint addresses of all the backing pods"


def spec(desc: str, ended: str, message: str = "") -> str:
    """A spec as the suite writes it; `ended` is the one of its four words that holds."""
    flags = {
        "passed": ended == "passed",
        "failed": ended == "unknown",
        "skipped": ended == "skipped",
        "conformant": ended != "no",
    }
    lines = [f"desc: '{desc}'", "ref: https://example.test", "labels: [DNS]", f"message: '{message}'"]
    lines += [f"{key}: {str(value).lower()}" for key, value in flags.items()]
    return "      - " + "\n        ".join(lines) + "\n"


def report(*, required: str = "", optional: str = "", failure: str = "") -> str:
    groups = [
        f"  - name: {name}\n    tests:\n{specs}"
        for name, specs in (("Required", required), ("Optional", optional))
        if specs
    ]
    totals = f'suitefailure: "{failure}"\ndnsdomain: clusterset.local\npassed: 1\ntotal: 1\n'
    return "groups:\n" + "".join(groups) + totals if groups else f"groups: []\n{totals}"


def outcome(mode: Mode = Mode.GATEWAY, **groups: str) -> Outcome:
    return Outcome(mode, read(report(**groups)))


@pytest.mark.parametrize(
    ("mode", "desc", "ended", "expected"),
    [
        (Mode.GATEWAY, "a", "passed", Verdict.PASSED),
        (Mode.GATEWAY, "a", "no", Verdict.FAILED),
        (Mode.GATEWAY, "a", "unknown", Verdict.UNKNOWN),
        (Mode.GATEWAY, "a", "skipped", Verdict.SKIPPED),
        (Mode.GATEWAY, ADDRESSES, "no", Verdict.EXCLUDED),
        (Mode.GATEWAY, ADDRESSES, "unknown", Verdict.EXCLUDED),
        (Mode.GATEWAY, ADDRESSES, "passed", Verdict.PASSED),
        (Mode.GATEWAY, ADDRESSES, "skipped", Verdict.SKIPPED),
        (Mode.FLAT, ADDRESSES, "no", Verdict.FAILED),
    ],
)
def test_a_spec_is_shown_as_it_ended(mode: Mode, desc: str, ended: str, expected: Verdict) -> None:
    found = outcome(mode, optional=spec(desc, ended))
    assert [found.verdict(one) for _, one in found.report.specs] == [expected]


@pytest.mark.parametrize(
    ("mode", "specs", "good"),
    [
        (Mode.GATEWAY, spec("a", "passed"), True),
        (Mode.GATEWAY, spec("a", "passed") + spec(ADDRESSES, "no"), True),
        (Mode.FLAT, spec("a", "passed") + spec(ADDRESSES, "no"), False),
        (Mode.GATEWAY, spec("a", "passed") + spec("b", "skipped"), True),
        (Mode.GATEWAY, spec("a", "passed") + spec("b", "unknown"), False),
        (Mode.GATEWAY, spec("a", "skipped"), False),
        (Mode.GATEWAY, "", False),
    ],
)
def test_a_run_is_good_when_something_ran_and_all_passed_that_can(
    mode: Mode, specs: str, *, good: bool
) -> None:
    assert outcome(mode, required=specs).is_good is good


def test_a_table_has_a_line_a_spec_then_the_totals_then_what_went_wrong() -> None:
    gateway = outcome(
        required=spec("is made", "passed") + spec("is deleted", "no", message=" - still there"),
        optional=spec(ADDRESSES, "no") + spec("is left out", "skipped"),
    )
    flat = outcome(Mode.FLAT, required=spec("is made", "passed"))
    assert text([gateway, flat]).splitlines() == [
        "gateway             flat  group     spec",
        "yes                 yes   Required  is made",
        "no                  -     Required  is deleted",
        f"no (by definition)  -     Optional  {ADDRESSES}",
        "skipped             -     Optional  is left out",
        "",
        "gateway: Required 1/2, Optional 0/1",
        "flat: Required 1/1",
        "gateway: no: is deleted - still there",
        f"gateway: no (by definition): {ADDRESSES}",
    ]


def test_a_page_quotes_what_would_be_a_tag_and_names_what_was_run() -> None:
    page = markdown([outcome(optional=spec(ADDRESSES, "passed"))], ours="v1-2-gabc", suite="v0.5.0")
    assert "clusterset-mesh v1-2-gabc, suite v0.5.0." in page
    assert "&lt;service&gt;.&lt;ns&gt;" in page
    assert "<" not in page


def test_a_suite_that_did_not_start_and_a_report_of_another_form_are_errors() -> None:
    with pytest.raises(NoReport, match="could not start: no ServiceExports"):
        read(report(failure="no ServiceExports"))
    with pytest.raises(NoReport, match="cannot be read"):
        read("groups: 3")
    with pytest.raises(NoReport, match="cannot be read"):
        read("groups: [")


def test_a_checkout_is_refused_until_it_holds_the_compiled_suite(tmp_path: Path) -> None:
    with pytest.raises(NoSuite, match="clone https://"):
        find(tmp_path)
    (tmp_path / "conformance").mkdir()
    (tmp_path / "conformance" / "go.mod").touch()
    with pytest.raises(NoSuite, match=r"conformance/conformance\.test"):
        find(tmp_path)
    (tmp_path / "conformance" / "conformance.test").touch()
    assert find(tmp_path).binary == tmp_path / "conformance" / "conformance.test"


def test_the_first_cluster_is_the_exporting_one_and_a_focus_is_optional() -> None:
    def called(focus: str) -> list[str]:
        return arguments(["east", "west"], kubeconfig=Path("/k"), version="1", url="u", focus=focus)

    assert "--contexts=east,west" in called("")
    assert not any("focus" in word for word in called(""))
    assert "--ginkgo.focus=DNS" in called("DNS")


def test_progress_counts_the_specs_that_ended_and_those_that_did_not_pass() -> None:
    said: list[str] = []
    following = Following(said.append)
    for line in (
        "Will run 3 of 27 specs",
        "S [SKIPPED]",
        "• [8.299 seconds]",
        "  [FAILED] in [It] - somewhere",
        "• [FAILED] [22.149 seconds]",
    ):
        following.line(line)
    assert said[0] == "0 of 3 specs"
    assert said[-1] == "2 of 3 specs, 1 not passed"


@pytest.mark.parametrize("name", IMAGES)
def test_a_stand_in_is_our_client_image_run_as_root_under_the_name_the_suite_wants(name: str) -> None:
    made = recipe(name)
    assert f"{made.repository}:{made.tag}" == name
    assert [layer.key for layer in made.layers] == [layer.key for layer in client_recipe().layers]
    assert made.config.user == ""


def test_every_excluded_spec_is_named_in_the_docs() -> None:
    page = " ".join((ROOT / "docs" / "conformance.md").read_text().split())
    for parts in EXCLUDED.values():
        for part in parts:
            assert part in page
