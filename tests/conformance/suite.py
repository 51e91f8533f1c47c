"""The official suite in somebody's checkout of kubernetes-sigs/mcs-api: found, and called.

It is compiled by whoever checked it out, as its own documentation says; here it is only run.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mesh_core.errors import UserError

WHERE = "https://github.com/kubernetes-sigs/mcs-api"
DNS_DOMAIN = "clusterset.local"
ORGANIZATION = PROJECT = "clusterset-mesh"

# `• [3.2 seconds]`, or with a word in capitals before it when the spec did not pass.
_ENDED = re.compile(r"^• \[(?P<word>[A-Z]*)")
_TO_RUN = re.compile(r"^Will run (\d+) of \d+ specs")


class NoSuite(UserError):
    """There is no suite where one was said to be."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A checkout with a compiled suite in it."""

    checkout: Path

    @property
    def binary(self) -> Path:
        """The name that Go gives to a package's compiled tests."""
        return self.checkout / "conformance" / "conformance.test"


def find(checkout: Path) -> Suite:
    """The suite in `checkout`; raises NoSuite."""
    suite = Suite(checkout.resolve())
    if not (suite.checkout / "conformance" / "go.mod").is_file():
        raise NoSuite(
            f"{checkout} is no checkout of kubernetes-sigs/mcs-api",
            next_step=f"clone {WHERE} and name its folder",
        )
    if not suite.binary.is_file():
        raise NoSuite(
            f"the suite in {checkout} is not compiled",
            next_step="compile the tests of its folder conformance to conformance/conformance.test",
        )
    return suite


def arguments(contexts: Sequence[str], *, kubeconfig: Path, version: str, url: str, focus: str) -> list[str]:
    """What the suite is called with; `focus` is a regular expression, empty for all specs."""
    return [
        f"--kubeconfig={kubeconfig}",
        f"--contexts={','.join(contexts)}",
        f"--dns-domain={DNS_DOMAIN}",
        f"--organization={ORGANIZATION}",
        f"--project={PROJECT}",
        f"--version={version}",
        f"--url={url}",
        "--ginkgo.v",
        "--ginkgo.no-color",
        *([f"--ginkgo.focus={focus}"] if focus else []),
    ]


class Following:
    """Counts, line by line of the suite's output, the specs that ended."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._all = 0
        self._ended = 0
        self._failed = 0

    def line(self, text: str) -> None:
        """Take one line and say where the suite has got to."""
        if (found := _TO_RUN.match(text)) is not None:
            self._all = int(found[1])
        if (found := _ENDED.match(text)) is not None:
            self._ended += 1
            self._failed += bool(found["word"])
        failed = f", {self._failed} not passed" if self._failed else ""
        self._say(f"{self._ended} of {self._all} specs{failed}")
