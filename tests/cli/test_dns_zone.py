"""Who answers the clusterset's zone by what CoreDNS reads, as every command judges it."""

import pytest

from mesh_cli.check.names import cache
from mesh_cli.check.names import stub as stub_check
from mesh_cli.check.verdict import Verdict
from mesh_cli.dns.corefile import stub
from mesh_cli.dns.zone import By, CoreDnsConfig, fault, served
from mesh_core.objects import ConfigMap, Meta
from mesh_fakes.check_findings import fine

OURS = "10.96.0.53"
REST = ".:53 {\n    kubernetes cluster.local\n    reload\n}\n"
IMPORTS = REST + "import custom/*.server\n"
BY_ITSELF = ".:53 {\n    kubernetes cluster.local {\n        multicluster clusterset.local\n    }\n}\n"
PLUGIN = "clusterset.local {\n    multicluster\n}\n" + REST


def block(*lines: str) -> str:
    return "clusterset.local:53 {\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


SENT = block(f"forward . {OURS}")

CASES = [
    ("nothing", REST, "", By.NOBODY, "stub is missing"),
    ("our stub", stub(OURS) + REST, "", By.OURS, ""),
    (
        "our stub to somebody else",
        stub("10.9.9.9") + REST,
        "",
        By.OURS,
        f"10.9.9.9, and meshctl-dns has {OURS}",
    ),
    ("our stub before multicluster", stub(OURS) + BY_ITSELF, "", By.OURS, ""),
    ("a block of somebody's", SENT + REST, "", By.COREFILE, ""),
    ("a block of somebody's without forward", block("errors") + REST, "", By.COREFILE, "forwards to nobody"),
    ("an imported block", IMPORTS, SENT, By.CUSTOM, ""),
    (
        "an imported block to somebody else",
        IMPORTS,
        block("forward . 10.9.9.9"),
        By.CUSTOM,
        "points to 10.9.9.9",
    ),
    ("an imported block beside multicluster", BY_ITSELF + IMPORTS, SENT, By.CUSTOM, ""),
    ("a block that nobody imports", REST, SENT, By.NOBODY, "stub is missing"),
    (
        "a block in an import that is a comment",
        REST + "# import custom/*\n",
        SENT,
        By.NOBODY,
        "stub is missing",
    ),
    ("an imported block for another zone", IMPORTS, "corp.example:53 {\n}\n", By.NOBODY, "stub is missing"),
    ("the option multicluster", BY_ITSELF, "", By.MULTICLUSTER, ""),
    ("the plugin multicluster", PLUGIN, "", By.MULTICLUSTER, ""),
]


@pytest.mark.parametrize(
    ("text", "custom", "by", "wrong"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_who_answers_the_zone_and_the_check_says_the_same(text: str, custom: str, by: By, wrong: str) -> None:
    found = served(CoreDnsConfig(text, {"mesh.server": custom}))
    told = fault(found, wanted=(OURS,))
    assert found.by is by
    assert wrong in told.what if told is not None else not wrong
    config = ConfigMap(metadata=Meta(name="coredns"), data={"Corefile": text})
    more = ConfigMap(metadata=Meta(name="coredns-custom"), data={"mesh.server": custom})
    first = next(iter(stub_check(fine(corefile=config, custom_dns=more))))
    assert first.verdict is (Verdict.FAIL if wrong else Verdict.OK)
    assert wrong in first.seen


def test_a_cache_is_found_in_whichever_block_answers() -> None:
    config = ConfigMap(metadata=Meta(name="coredns"), data={"Corefile": IMPORTS})
    more = ConfigMap(metadata=Meta(name="x"), data={"a.server": block("cache", f"forward . {OURS}")})
    [told] = cache(fine(corefile=config, custom_dns=more))
    assert told.verdict is Verdict.WARN
    assert told.subject == "ConfigMap kube-system/coredns-custom"
