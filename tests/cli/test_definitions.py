"""Which CRDs may be replaced by ours."""

from typing import Any

import pytest

from mesh_cli.install.definitions import DefinitionTooNew, Verdict, verdict

MCS = "multicluster.x-k8s.io"
OURS = "meshctl.dev"


def definition(
    group: str, *, age: tuple[str, str] | None, served: tuple[str, ...] = ("v1alpha1", "v1beta1")
) -> dict[str, Any]:
    labels = {}
    if age is not None:
        labels = {f"{group}/release-version": age[0], f"{group}/crd-schema-revision": age[1]}
    versions = [{"name": name, "served": True, "storage": name == "v1beta1"} for name in served]
    meta = {"name": f"things.{group}", "labels": labels}
    return {"metadata": meta, "spec": {"group": group, "versions": versions}}


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        (None, Verdict.INSTALL),
        (definition(MCS, age=None), Verdict.INSTALL),
        (definition(MCS, age=("v0.4.9", "7")), Verdict.INSTALL),
        (definition(MCS, age=("v0.5.1", "0")), Verdict.INSTALL),
        (definition(MCS, age=("v0.5.1", "1")), Verdict.KEEP),
        (definition(MCS, age=("v0.5.1", "2")), Verdict.KEEP),
        (definition(MCS, age=("v0.10.0", "0"), served=("v1beta1", "v1")), Verdict.KEEP),
        (definition(MCS, age=("newest", "one")), Verdict.INSTALL),
    ],
    ids=["missing", "no labels", "older", "older revision", "equal", "newer revision", "newer", "unreadable"],
)
def test_a_standard_kind_is_installed_when_missing_or_older_and_never_set_back(
    existing: dict[str, Any] | None, expected: Verdict
) -> None:
    assert verdict(definition(MCS, age=("v0.5.1", "1")), existing=existing) is expected


def test_a_newer_kind_that_no_longer_speaks_our_version_stops_the_join() -> None:
    with pytest.raises(DefinitionTooNew, match="does not serve v1beta1; use a newer meshctl"):
        verdict(
            definition(MCS, age=("v0.5.1", "0")),
            existing=definition(MCS, age=("v2.0.0", "0"), served=("v2",)),
        )


@pytest.mark.parametrize("group", [OURS, f"placement.{OURS}"])
def test_our_own_kind_of_the_same_age_is_repaired_and_a_newer_one_kept(group: str) -> None:
    wanted = definition(group, age=("v0.1.0", "1"))
    assert verdict(wanted, existing=definition(group, age=("v0.1.0", "1"))) is Verdict.REPAIR
    assert verdict(wanted, existing=definition(group, age=("v0.1.0", "2"))) is Verdict.KEEP


def test_a_kind_without_labels_is_judged_by_the_versions_that_it_serves() -> None:
    wanted = definition("about.k8s.io", age=None)
    complete = definition("about.k8s.io", age=None, served=("v1alpha1", "v1beta1", "v1"))
    assert verdict(wanted, existing=complete) is Verdict.KEEP
    assert (
        verdict(wanted, existing=definition("about.k8s.io", age=None, served=("v1alpha1",)))
        is Verdict.INSTALL
    )
