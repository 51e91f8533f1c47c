"""What the DNS of the Multi-Cluster Services API asks for, and where each clause is tested.

`e1` records, `e2` denials, `e3` what is read, `e4` names of endpoints, `e5` what the official suite asks
beyond the specification, `e6` cluster ids (KEP-1645 and its specification.md, schema 1.0.0; what CoreDNS
answers where these are silent); `g` what DNS itself asks of a server. A test of `test_dns_records.py` begins
with the ids that it answers for; what needs an API server or a socket is in ELSEWHERE. `dns_clauses.md` shows
it side by side.
"""

import ast
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
RECORDS = "wire/test_dns_records.py"
PAGE = Path(__file__).with_name("dns_clauses.md")
_ID = re.compile(r"e\d{3}|g\d{2}")

CLAUSES: Mapping[str, str] = {
    "e101": "`dns-version.<zone>` TXT is the version of the schema",
    "e102": "ClusterSetIP: A and AAAA are the clusterset IPs of that family",
    "e103": "ClusterSetIP: SRV for each named port, with the service as its target",
    "e104": "headless: A and AAAA are the addresses of the ready endpoints",
    "e105": "headless: `<hostname>.<cluster id>.<service>` for each ready endpoint",
    "e106": "headless: SRV for each ready endpoint and named port, of all clusters together",
    "e107": "PTR is not required; addresses that the zone gives out have it",
    "e108": "`<cluster id>.<service>` must not exist, for neither type",
    "e109": "a port without a name has no SRV record",
    "e110": "matching is case-insensitive",
    "e111": "names have at most 253 characters, labels at most 63",
    "e112": "`cluster.local` stays local: nothing outside the zone is answered",
    "e201": "the apex, `svc` and a namespace exist and hold nothing; SOA and NS at the apex",
    "e202": "a namespace that this cluster has not: NXDOMAIN",
    "e203": "no ServiceImport: NXDOMAIN",
    "e204": "ClusterSetIP, no address of that family, or none yet: NODATA",
    "e205": "ClusterSetIP without ports: its addresses (CoreDNS: NXDOMAIN)",
    "e206": "headless without a ready endpoint: NXDOMAIN",
    "e207": "headless, endpoints without ports: addresses, no SRV",
    "e208": "another type: NODATA on a name that exists, NXDOMAIN on one that does not",
    "e209": "more than two labels below a service: NXDOMAIN",
    "e210": "one label below a service: NXDOMAIN",
    "e211": "before everything was listed: SERVFAIL, no denial",
    "e301": "ServiceImports of all namespaces are read, of their spec type, ips and ports",
    "e302": "slices are read by their labels; ready unless it says otherwise; none without its cluster",
    "e303": "Namespaces are read",
    "e304": "reading these is all that is asked for at the API server, beside Nodes and Services",
    "e401": "an endpoint without a hostname is called by its address with dashes",
    "e402": "an endpoint with a hostname is called by it alone",
    "e501": "SRV at the bare name is that of all ports",
    "e502": "each target and port once",
    "e503": "SRV is authoritative and has an empty additional section",
    "e504": "each address once, however many ports",
    "e601": "a cluster id is one label",
    "g01": "the question is given back as it was spelled, of the flags only RD",
    "g02": "UDP: 512 bytes, or what EDNS says up to 1232; TC, whole over TCP",
    "g03": "EDNS0: our own size, DO given back",
    "g04": "unknown options are passed over",
    "g05": "BADVERS",
    "g06": "ANY gets one record set",
    "g07": "unknown classes are refused",
    "g08": "no transfer of the zone",
    "g09": "other operations: NOTIMP",
    "g10": "several questions, or none: FORMERR",
    "g11": "an answer gets no answer",
    "g12": "the order of an answer is turned, the same way for the same query",
    "g13": "TCP: several questions on one connection",
    "g14": "cookies",
    "g15": "class CH tells our own cluster about the server",
    "g16": "askers outside the cluster are bounded",
    "g17": "unknown types",
}

ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    "e202": ("stories/test_dns_follows_endpoints.py::test_names_come_and_go_with_the_namespace_object",),
    "e211": ("stories/test_dns_follows_imports.py::test_nothing_is_denied_before_the_first_complete_list",),
    "e301": (
        "core/test_answers_from_imports.py::test_addresses_keep_their_order_and_what_is_none_is_left_out",
    ),
    "e302": ("stories/test_dns_follows_endpoints.py::test_only_imported_slices_are_asked_for",),
    "e303": ("stories/test_dns_follows_endpoints.py::test_names_come_and_go_with_the_namespace_object",),
    "e304": (
        "cli/test_rights_used.py::test_every_right_has_somebody_who_uses_it_and_nothing_is_used_without_a_right",
    ),
    "e601": ("core/test_answers_from_endpoints.py::test_slices_say_who_is_there",),
    "g13": ("stories/test_dns_server.py::test_many_questions_on_one_connection_are_answered_in_their_order",),
    "g14": (
        "wire/test_dns_askers.py::test_who_shows_a_cookie_gets_it_back_with_one_of_ours",
        "wire/test_dns_cookie_vectors.py::test_a_server_cookie_is_the_published_one",
    ),
    "g15": ("wire/test_dns_askers.py::test_local_askers_are_told",),
    "g16": ("wire/test_dns_askers.py::test_a_stranger_gets_some_answers_then_small_ones_then_silence",),
    "g17": ("wire/test_dns_answer.py::test_a_question_gets_its_answer",),
}


@lru_cache
def names_in(path: str) -> tuple[str, ...]:
    """The tests of a file, in the order of its lines."""
    nodes = ast.walk(ast.parse((TESTS / path).read_text()))
    found = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    ordered = sorted(found, key=lambda node: node.lineno)
    return tuple(node.name for node in ordered if node.name.startswith("test_"))


def claimed_by(name: str) -> list[str]:
    """The ids at the beginning of a test's name."""
    found: list[str] = []
    for word in name.split("_")[1:]:
        if not _ID.fullmatch(word):
            break
        found.append(word)
    return found


def answering(clause: str) -> list[str]:
    """The tests that answer for a clause."""
    own = [f"{RECORDS}::{name}" for name in names_in(RECORDS) if clause in claimed_by(name)]
    return [*own, *ELSEWHERE.get(clause, ())]


def page() -> str:
    """The table of the page: each clause with its tests."""
    rows = ["| id | what is asked | test |", "|---|---|---|"]
    for clause, text in CLAUSES.items():
        rows.append(f"| {clause} | {text} | {'<br>'.join(f'`{test}`' for test in answering(clause))} |")
    return "\n".join(rows)


def test_every_clause_has_its_test() -> None:
    assert not [clause for clause in CLAUSES if not answering(clause)]


def test_no_test_answers_for_a_clause_that_is_not_on_the_list() -> None:
    claims = {name: claimed_by(name) for name in names_in(RECORDS)}
    assert all(claims.values()), "each begins with the clauses that it answers for"
    assert not {clause for found in claims.values() for clause in found} - CLAUSES.keys()
    assert not ELSEWHERE.keys() - CLAUSES.keys()


def test_the_tests_elsewhere_are_there() -> None:
    for place in (place for places in ELSEWHERE.values() for place in places):
        path, _, name = place.partition("::")
        assert name in names_in(path), f"there is no {place}"


def test_the_ids_of_each_section_have_no_gap() -> None:
    for section in ("e1", "e2", "e3", "e4", "e5", "e6", "g"):
        numbers = [int(clause.removeprefix(section)) for clause in CLAUSES if clause.startswith(section)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_the_page_shows_which_test_stands_for_each_clause() -> None:
    assert page() in PAGE.read_text(), f"{PAGE.name} needs this table:\n{page()}"
