"""Clocks that are up to five minutes apart keep nobody from anybody; the openssl program looks at the dates.

Python's TLS knows the machine's time alone, so what another clock would say is asked of `openssl verify`.
"""

import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mesh_core.identity import Component, Identity, cluster_id
from mesh_core.lifetimes import BACKDATE
from mesh_fakes.clusterset import DOMAIN
from mesh_runtime.clock import utc_now
from mesh_runtime.pem import certificates_to_pem, key_to_pem
from mesh_runtime.pki import (
    Authority,
    make_intermediate,
    make_issuer,
    make_leaf,
    make_root,
    new_key,
    window_in,
)
from mesh_runtime.proof import prove
from mesh_runtime.tls import Credentials, UnusableCredentials

NOW = utc_now().replace(microsecond=0)
LIMIT = 60.0
WEST = Identity(cluster=cluster_id("west"), component=Component.GATEWAY, domain=DOMAIN)
SHOP = Identity(cluster=cluster_id("shop"), component=Component.GATEWAY, domain=DOMAIN, pool="edge")


class Made:
    """A chain of which everything was made within a moment, by a clock that says `now`."""

    def __init__(self, *, now: datetime, who: Identity) -> None:
        self.root = make_root(DOMAIN, now=now)
        above = self.root
        if who.pool:
            key = new_key()
            certificate = make_issuer(
                self.root,
                pool=who.pool,
                holder=cluster_id("east"),
                domain=DOMAIN,
                public_key=key.public_key(),
                now=now,
            )
            above = Authority(certificate, key)
        key, own = new_key(), new_key()
        certificate = make_intermediate(
            above, cluster=who.cluster, domain=DOMAIN, public_key=key.public_key(), now=now, pool=who.pool
        )
        between = (above.certificate,) if who.pool else ()
        self.intermediate = Authority(certificate, key, above=between)
        self.leaf = make_leaf(self.intermediate, identity=who, public_key=own.public_key(), now=now)
        chain = certificates_to_pem((self.leaf, *self.intermediate.chain))
        self.credentials = Credentials(key_to_pem(own), chain)

    @property
    def roots(self) -> tuple[str, ...]:
        return (certificates_to_pem((self.root.certificate,)).decode(),)

    def verified(self, folder: Path, *, at: datetime) -> str:
        """What openssl says of the leaf by a clock that says `at`."""
        files = {
            "root": (self.root.certificate,),
            "leaf": (self.leaf,),
            "between": self.intermediate.chain,
        }
        for name, certificates in files.items():
            (folder / f"{name}.pem").write_bytes(certificates_to_pem(certificates))
        command = ["openssl", "verify", "-x509_strict", "-attime", str(int(at.timestamp()))]
        command += ["-CAfile", str(folder / "root.pem"), "-untrusted", str(folder / "between.pem")]
        ended = subprocess.run(
            [*command, str(folder / "leaf.pem")], capture_output=True, text=True, timeout=LIMIT, check=False
        )
        return (ended.stdout + ended.stderr).strip()


@pytest.mark.parametrize("who", [WEST, SHOP], ids=["member", "in a pool"])
@pytest.mark.parametrize("off", [-BACKDATE, timedelta(0), BACKDATE], ids=["behind", "right", "ahead"])
def test_a_verifier_five_minutes_off_takes_a_chain_that_was_made_this_moment(
    tmp_path: Path, who: Identity, off: timedelta
) -> None:
    """Root, issuer, intermediate and leaf: the newest of them decides."""
    assert Made(now=NOW, who=who).verified(tmp_path, at=NOW + off).endswith("leaf.pem: OK")


def test_a_verifier_six_minutes_behind_does_not(tmp_path: Path) -> None:
    said = Made(now=NOW, who=WEST).verified(tmp_path, at=NOW - timedelta(minutes=6))
    assert "certificate is not yet valid" in said


@pytest.mark.parametrize("who", [WEST, SHOP], ids=["member", "in a pool"])
@pytest.mark.parametrize(
    "off", [-BACKDATE, BACKDATE - timedelta(seconds=1)], ids=["by a clock behind", "by a clock ahead"]
)
def test_a_real_handshake_takes_what_was_made_by_a_clock_five_minutes_off(
    who: Identity, off: timedelta
) -> None:
    """Both ends of it: `prove` is a server and a client that demand the certificate."""
    made = Made(now=utc_now() + off, who=who)
    prove(made.credentials, identity=who, roots=made.roots)


def test_a_real_handshake_does_not_take_what_a_clock_further_ahead_has_made() -> None:
    made = Made(now=utc_now() + BACKDATE + timedelta(minutes=1), who=WEST)
    with pytest.raises(UnusableCredentials, match="not yet valid"):
        prove(made.credentials, identity=WEST, roots=made.roots)


def test_who_signs_may_be_five_minutes_ahead_of_who_is_signed() -> None:
    """A controller makes a leaf below an intermediate that, by its own clock, was made in five minutes."""
    made = Made(now=NOW, who=WEST)
    leaf = make_leaf(made.intermediate, identity=WEST, public_key=new_key().public_key(), now=NOW - BACKDATE)
    assert window_in(leaf).start == NOW - BACKDATE
