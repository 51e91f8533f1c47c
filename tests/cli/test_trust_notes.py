"""What `meshctl trust status` says of certificates that a person has to renew."""

from datetime import timedelta

import pytest

from mesh_cli.trust.survey import FolderSeen
from mesh_cli.trust.surveying import judged
from mesh_core.trust_statement import Held
from mesh_fakes.clusterset import FakeClusterset
from mesh_runtime.rotation import issuer_entry
from mesh_runtime.trust_signing import accepted_statement

SET = FakeClusterset()
RENEW = "meshctl trust renew --trust DIR --context CONTEXT"


@pytest.mark.parametrize(
    ("days", "due"),
    [
        pytest.param(19, (), id="nothing"),
        pytest.param(21, ("east: its issuer guests ends at",), id="the issuer, after 20 days of 30"),
        pytest.param(61, ("east: its intermediate ends at", "east: its issuer guests ends at"), id="both"),
    ],
)
def test_what_is_past_two_thirds_of_its_life_is_named_with_what_renews_it(
    days: int, due: tuple[str, ...]
) -> None:
    (certificate,) = SET.invited("north", pool="guests").above
    entry = issuer_entry(certificate, pool="guests", holder=SET.membership("east").cluster)
    text = SET.statement(3, roster=SET.roster("east"), issuers=[entry])
    statement = accepted_statement(text, held=Held(), domain=SET.domain, roots=SET.roots)
    folder = FolderSeen("trust", Held(statement, text), key_is_here=True)
    said = judged((), folder=folder, now=SET.now + timedelta(days=days)).notes
    named = [one for one in said if RENEW in one]
    assert len(named) == len(due)
    assert all(one.startswith(words) for one, words in zip(named, due, strict=True))
