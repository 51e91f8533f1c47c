"""A hub and two members on real clusters: one that the hub dials in to, one into which nobody can dial."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import yaml

from live.nodes import nodes_of, others_of, ruled
from mesh_fakes.bed import Bed
from mesh_local.kubectl import kubectl_command
from mesh_local.names import names_of

HUB: Final = "hub"
AUTO: Final = "auto"
MANUAL: Final = "manual"
ALICE: Final = "alice"
SHOP: Final = "shop"
TICKING: Final = "import time\nwhile True: print('tick', flush=True); time.sleep(0.5)"
_LIMIT: Final = 120.0  # seconds of one kubectl


@dataclass(frozen=True, slots=True)
class Fleet:
    """The clusters, the image of our programs, and how a person without special rights works on them."""

    bed: Bed
    program: str

    def meshctl(self, *words: str) -> str:
        """What `meshctl` prints, which must succeed."""
        return self.bed.done("--kubeconfig", str(self.bed.kubeconfig), *words)

    def row(self, member: str) -> dict[str, Any]:  # Any: JSON
        """The member in `meshctl clusters -o json`."""
        listed = json.loads(self.meshctl("clusters", "--context", HUB, "-o", "json"))
        [found] = [one for one in listed["clusters"] if one["name"] == member]
        assert isinstance(found, dict)
        return found

    def is_known(self, member: str) -> bool:
        """Whether the hub has a registration of it."""
        listed = json.loads(self.meshctl("clusters", "--context", HUB, "-o", "json"))
        return any(one["name"] == member for one in listed["clusters"])

    def as_alice(self, member: str) -> "Person":
        """Alice's kubectl on `member` through the hub: `meshctl clusters proxy`, and her own certificate."""
        file = self.bed.folder / f"{member}-by-hub.kubeconfig"
        if not file.exists():
            self.meshctl("clusters", "proxy", member, "--context", HUB, "--file", str(file))
            config = yaml.safe_load(file.read_text())
            # Of the administrator's login only the way is kept.
            config["users"][0]["user"] = alices_login(self.bed)
            file.write_text(yaml.safe_dump(config))
        return Person(self.bed, file)

    def register(self, member: str) -> None:
        """As people do: Auto with both kubeconfigs at hand, Manual by a token alone."""
        if member == AUTO:
            way = ("--hub-context", HUB)
        else:
            made = json.loads(
                self.meshctl("token", "create", "--context", HUB, "--auto-accept", "-o", "json")
            )
            pins = [word for pin in made["caHashes"] for word in ("--ca-hash", pin)]
            way = ("--hub", made["server"], "--token", made["token"], *pins, "--image", self.program)
        self.meshctl("register", "--context", member, "--cluster-id", member, "--allow-access", *way)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody's kubectl, by a kubeconfig."""

    bed: Bed
    kubeconfig: Path

    def run(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl; does not raise when it fails."""
        return subprocess.run(
            [*self.command(), *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )

    def done(self, *words: str, given: str = "") -> str:
        """What kubectl prints, which must succeed."""
        ended = self.run(*words, given=given)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    @contextmanager
    def follow(self, *words: str) -> Iterator[IO[str]]:
        """What kubectl prints while the block runs, after which it is ended."""
        with subprocess.Popen([*self.command(), *words], stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            try:
                yield running.stdout
            finally:
                running.kill()

    def command(self) -> list[str]:
        """kubectl with the kubeconfig."""
        argv = kubectl_command((), cluster=HUB, folder=self.bed.folder)
        kept = [word for word in argv if not word.startswith(("--kubeconfig", "--context"))]
        return [*kept, f"--kubeconfig={self.kubeconfig}"]


def work(member: str, name: str, *manifests: dict[str, Any]) -> str:  # Any: JSON
    """A Work for `member`, as YAML."""
    return yaml.safe_dump(
        {
            "apiVersion": "multicluster.x-k8s.io/v1alpha1",
            "kind": "Work",
            "metadata": {"name": name, "namespace": f"cluster-{member}"},
            "spec": {"workload": {"manifests": list(manifests)}},
        }
    )


def assignment(member: str, name: str) -> str:
    """An Assignment of the Work of the same name, as YAML."""
    return yaml.safe_dump(
        {
            "apiVersion": "placement.meshctl.dev/v1alpha1",
            "kind": "Assignment",
            "metadata": {"name": name, "namespace": f"cluster-{member}"},
            "spec": {"revision": 1, "works": [name]},
        }
    )


def shop(image: str) -> list[dict[str, Any]]:  # Any: JSON
    """A namespace with a Deployment that says `tick` in its log."""
    pod = {"name": "web", "image": image, "command": ["python", "-c", TICKING]}
    # Python as a pod's first process does not hear SIGTERM.
    spec = {"containers": [pod], "terminationGracePeriodSeconds": 1}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": spec}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": SHOP},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template},
    }
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}}, deployment]


@contextmanager
def sealed(bed: Bed, cluster: str) -> Iterator[None]:
    """Whatever another cluster begins to this one's nodes, on any port, is dropped; answers come in."""
    rule = f"ip saddr {others_of(bed, cluster)} ct state new counter drop"
    # Before kube-proxy has turned the address into a pod's.
    chains = f"chain comes {{ type filter hook prerouting priority -150; {rule}; }}"
    with ruled(bed, cluster, table="sealed", chains=chains):
        yield


def reaches(bed: Bed, source: str, target: str) -> bool:
    """Whether a TCP connection from `source`'s node to `target`'s API server is taken."""
    [there] = nodes_of(bed, target)[:1]
    [here] = nodes_of(bed, source)[:1]
    said = f"exec 3<>/dev/tcp/{there.address}/6443"
    return inside(bed, here.name, "timeout", "10", "bash", "-c", said)


def inside(bed: Bed, node: str, *words: str) -> bool:
    """Whether a command in the network of a node succeeds."""
    namespace = names_of(bed.folder.resolve()).namespace(node)
    argv = ("nsenter", f"--net={namespace}", "--", *words)
    return subprocess.run(argv, capture_output=True, check=False, timeout=60).returncode == 0


def alices_login(bed: Bed) -> dict[str, str]:
    """What stands in her kubeconfigs: a certificate of the hub's CA that names her."""
    return yaml.safe_load((bed.folder / "alice.yaml").read_text())  # type: ignore[no-any-return]  # our own file
