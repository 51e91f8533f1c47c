"""How a cluster becomes an issuer: its controller makes the key, whoever holds the root names it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mesh_cli.trust.enrolment import Enrolment
from mesh_cli.trust.issuing import Issuing, NoIssuerRequest, good_issuer
from mesh_controller.issuer_source import IssuerSource
from mesh_core.identity import cluster_id
from mesh_core.issuers import issuer_of, with_issuer
from mesh_core.names import (
    ISSUER_SECRET,
    PROPERTY_CLUSTER_ID,
    SIGNER_ISSUER,
    SYSTEM_NAMESPACE,
    TRUST_BUNDLE,
)
from mesh_core.objects import Secret
from mesh_core.objects.trust import IssuerEntry, RefusedKey, RootEntry, RosterEntry, Statement
from mesh_core.roster import CannotAdmit
from mesh_core.signing import CONTROLLER_ACCOUNT
from mesh_core.trust_statement import held_by
from mesh_fakes.clusterset import DOMAIN
from mesh_fakes.member_api import MemberApi
from mesh_fakes.under_way import under_way
from mesh_fakes.waiting import until
from mesh_runtime.clock import utc_now
from mesh_runtime.intermediate import CERTIFICATE, KEY, stored_certificate
from mesh_runtime.kube import CLUSTER_PROPERTIES, CSRS, SECRETS, TRUST_BUNDLES
from mesh_runtime.membership import MembershipSource
from mesh_runtime.pki import make_intermediate, new_key, window_in
from mesh_runtime.trust_book import admit, member_entry
from mesh_runtime.trust_dir import TrustDir, init_trust_dir, load_trust_dir

EAST = cluster_id("east")
DAY = timedelta(days=1)


@dataclass(slots=True)
class Scene:
    """East, a member whose statement is in the folder `trust`, and its controllers' issuer sources."""

    api: MemberApi
    folder: Path
    sources: list[IssuerSource]

    def trust(self) -> TrustDir:
        return load_trust_dir(self.folder)

    def issuing(self, *, limit: float = 5.0, pool: str = "", earlier: timedelta = timedelta()) -> Issuing:
        enrolment = Enrolment(
            self.api.client(),
            self.trust(),
            context="east",
            cluster=EAST,
            uid="uid",
            clock=lambda: utc_now() - earlier,
        )
        return Issuing(enrolment, limit=limit, pool=pool)

    def secret(self) -> Secret | None:
        return self.api.find(SECRETS, ISSUER_SECRET, namespace=SYSTEM_NAMESPACE)

    def held(self) -> Statement:
        bundle = self.api.find(TRUST_BUNDLES, TRUST_BUNDLE)
        statement = held_by(bundle).statement
        assert statement is not None
        return statement


@asynccontextmanager
async def scene(folder: Path, *, replicas: int = 1) -> AsyncIterator[Scene]:
    trust = init_trust_dir(folder / "trust", domain=DOMAIN, now=utc_now() - 60 * DAY)
    key = new_key()
    own = make_intermediate(
        trust.root, cluster=EAST, domain=DOMAIN, public_key=key.public_key(), now=utc_now()
    )
    admit(trust, entry=member_entry(own, cluster=EAST, uid="uid", now=utc_now()), now=utc_now())
    api = MemberApi(clock=lambda: datetime.now(UTC))
    for namespace in ("kube-system", SYSTEM_NAMESPACE):
        api.namespace(namespace)
    api.put(CLUSTER_PROPERTIES, {"metadata": {"name": PROPERTY_CLUSTER_ID}, "spec": {"value": "east"}})
    made = Scene(api, folder / "trust", [])
    await made.issuing().enrolment.publish(made.trust())
    kube = api.client(CONTROLLER_ACCOUNT)
    membership = MembershipSource(kube)
    made.sources += [IssuerSource(kube, membership=membership) for _ in range(replicas)]
    async with under_way(membership.run(), *(source.run() for source in made.sources)):
        yield made


@pytest.mark.asyncio
async def test_nobody_wants_an_issuer_and_nothing_is_made(tmp_path: Path) -> None:
    async with scene(tmp_path) as east:
        await until(lambda: east.sources[0]._membership.current is not None)
        assert east.secret() is None and east.api.all(CSRS) == []
        assert east.sources[0].current is None


@pytest.mark.asyncio
@pytest.mark.parametrize("replicas", [1, 3])
async def test_the_root_names_the_key_that_the_controller_has_made(tmp_path: Path, replicas: int) -> None:
    async with scene(tmp_path, replicas=replicas) as east:
        known = await east.issuing().make()
        await until(lambda: all(source.current is not None for source in east.sources))
        issuer = east.sources[0].current
        assert issuer is not None and issuer.pool == "by-east"
        entry = issuer_of(east.held(), holder="east")
        assert entry == issuer_of(known.held.statement, holder="east")
        assert entry is not None and entry.key == issuer.key_id
        await until(lambda: {KEY, CERTIFICATE} == set(getattr(east.secret(), "data", ())))
        secret = east.secret()
        assert secret is not None
        assert stored_certificate(secret).decode() == entry.certificate
        assert good_issuer(east.held(), holder="east", now=utc_now(), fresh=True) == entry


@pytest.mark.asyncio
async def test_doing_it_again_renews_the_certificate_of_the_same_key(tmp_path: Path) -> None:
    async with scene(tmp_path) as east:
        await east.issuing(earlier=25 * DAY).make()
        await until(lambda: east.sources[0].current is not None)
        old = east.sources[0].current
        assert old is not None
        assert good_issuer(east.held(), holder="east", now=utc_now(), fresh=True) is None
        assert good_issuer(east.held(), holder="east", now=utc_now()) is not None
        await east.issuing().make()
        await until(lambda: east.sources[0].current not in (None, old))
        new = east.sources[0].current
        assert new is not None and (new.key_id, new.pool) == (old.key_id, old.pool)
        assert window_in(new.authority.certificate).end > window_in(old.authority.certificate).end


@pytest.mark.asyncio
async def test_an_issuer_that_the_statement_names_no_more_is_none(tmp_path: Path) -> None:
    async with scene(tmp_path) as east:
        await east.issuing().make()
        await until(lambda: east.sources[0].current is not None)
        east.api.remove(SECRETS, ISSUER_SECRET, namespace=SYSTEM_NAMESPACE)
        await until(lambda: east.sources[0].current is None)


@pytest.mark.asyncio
async def test_without_a_controller_somebody_is_told_where_to_look(tmp_path: Path) -> None:
    async with scene(tmp_path, replicas=0) as east:
        with pytest.raises(NoIssuerRequest, match="kubectl"):
            await east.issuing(limit=0.2).make()
        assert east.secret() is not None
        assert [request.spec.signer_name for request in east.api.all(CSRS)] == []


@pytest.mark.asyncio
async def test_the_request_is_for_the_issuers_signer_which_no_program_may_sign_for(tmp_path: Path) -> None:
    async with scene(tmp_path) as east:
        await east.issuing().make()
        (request,) = east.api.all(CSRS)
        assert request.spec.signer_name == SIGNER_ISSUER
        assert request.spec.username == CONTROLLER_ACCOUNT


def entry(key: str, *, pool: str = "by-east", holder: str = "east") -> IssuerEntry:
    return IssuerEntry(key=key * 64, pool=pool, holder=holder, certificate="pem")


STATEMENT = Statement(
    domain=DOMAIN,
    generation=1,
    roots=(RootEntry(key="f" * 64, certificate="pem"),),
    roster=(RosterEntry(cluster="east", keys=("e" * 64,)),),
    issuers=(entry("a"),),
    refused=(RefusedKey(key="d" * 64, cluster="west", why="was stolen"),),
)


@pytest.mark.parametrize(
    ("offered", "words"),
    [
        (entry("d"), "was stolen"),
        (entry("b", pool="east"), "id of a member"),
        (entry("b"), "belongs to another key"),
        (entry("a", pool="other"), "has the pool by-east"),
    ],
)
def test_an_issuer_takes_nobodys_place(offered: IssuerEntry, words: str) -> None:
    with pytest.raises(CannotAdmit, match=words):
        with_issuer(STATEMENT, entry=offered)


def test_an_issuer_is_added_once_and_renewed_in_its_place() -> None:
    both = with_issuer(STATEMENT, entry=entry("b", pool="alpha", holder="west"))
    assert [one.pool for one in both.issuers] == ["alpha", "by-east"]
    assert with_issuer(both, entry=entry("a")).issuers == both.issuers
