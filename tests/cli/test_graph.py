"""`meshctl graph` as a person uses it, and as other clusters would abuse it."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from mesh_cli.graph.drawing import draw
from mesh_cli.graph.picture import Picture
from mesh_cli.graph.render import as_html, as_svg, picture_as_json
from mesh_cli.main import command
from mesh_cli.status.survey import NotSeen
from mesh_core.objects import Condition
from mesh_fakes.clusters import MESH, bare_cluster, make_member
from mesh_fakes.object_server import ObjectServer, served, write_kubeconfig
from mesh_fakes.pictures import connected, export, gateways, imported, member, peer, surveys, traffic

Meshctl = Callable[..., Result]

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "</style><script>alert(1)</script>",
    "]]><!--",
    "&#60;script&#62; &amp; &bogus;",
    "a\x00b\x1b[31mc\x7f\x85",
    "\ufffe\ud800",
    "abc\u202egnp.exe",
    "line\nbreak\r\n<!DOCTYPE x>",
    "x" * 100_000,
]


def hostile(word: str) -> Picture:
    """`word` wherever a cluster, a tenant or a peer can write a text of their own."""
    condition = Condition(type="Conflict", status="True", reason=word, message=word)
    withheld = Condition(type="Valid", status="False", reason=word, message=word)
    seen = member(
        word,
        peers=(peer(word + "1", condition=connected("False", word, word)), peer("west")),
        exports=(export(word, condition, withheld, namespace=word),),
        imports=(imported(word, word, word + "2", namespace=word), imported("plain", "west")),
    )
    told = gateways(word, (traffic(word + "1"), traffic("west")), word)
    return draw(*surveys(seen, NotSeen(word, word), told=(told,)))


class Page(HTMLParser):
    """The elements and attributes of a page, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}


PLAIN = hostile("plain")


@pytest.mark.parametrize("word", HOSTILE, ids=range(len(HOSTILE)))
def test_what_other_clusters_write_is_text_in_the_picture_and_never_markup(word: str) -> None:
    tree = ElementTree.fromstring(as_svg(hostile(word)))
    plain = ElementTree.fromstring(as_svg(PLAIN))
    assert {one.tag for one in tree.iter()} == {one.tag for one in plain.iter()}
    assert {name for one in tree.iter() for name in one.attrib} == {
        name for one in plain.iter() for name in one.attrib
    }


@pytest.mark.parametrize("word", HOSTILE, ids=range(len(HOSTILE)))
def test_what_other_clusters_write_is_text_on_the_page_and_never_markup(word: str) -> None:
    page, plain = Page(as_html(hostile(word))), Page(as_html(PLAIN))
    assert page.elements == plain.elements
    assert page.attributes == plain.attributes
    assert "script" not in page.elements


@pytest.mark.parametrize("word", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("render", [as_svg, as_html, picture_as_json], ids=["svg", "html", "json"])
def test_nothing_unprintable_or_endless_gets_into_a_file(render: Callable[[Picture], str], word: str) -> None:
    text = render(hostile(word))
    assert all(line.isprintable() for line in text.splitlines())
    assert len(text) < 64 * 1024
    text.encode()


def test_ten_thousand_services_make_a_page_that_can_be_read_and_json_has_them_all() -> None:
    many = tuple(export(f"s{number}") for number in range(10_000))
    picture = draw(*surveys(member("east", exports=many)))
    assert len(as_svg(picture)) < 64 * 1024
    assert as_html(picture).count("<li ") == 501
    assert "and 9500 more" in as_html(picture)
    assert "and 9960 more" in as_svg(picture)
    assert len(json.loads(picture_as_json(picture))["services"]) == 10_000


def test_the_page_is_whole_in_itself_and_may_do_nothing() -> None:
    page = as_html(PLAIN)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src &#x27;none&#x27;; style-src &#x27;sha256-")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)
    assert Page(page).attributes.isdisjoint({"src", "href", "style", "onclick"})


@pytest.fixture
def east() -> ObjectServer:
    east = bare_cluster("east")
    make_member(east, cluster="east")
    put_peer(east, "west")
    return east


@pytest.fixture
def meshctl(tmp_path: Path, east: ObjectServer) -> Iterator[Meshctl]:
    """Runs `meshctl` with contexts `e` and `dead`."""
    with ExitStack() as stack:
        urls = {"e": stack.enter_context(served(east)).url, "dead": "http://127.0.0.1:9"}
        file = write_kubeconfig(tmp_path / "kubeconfig", servers=urls, current="e")

        def run(*words: str) -> Result:
            return CliRunner().invoke(command, ["--kubeconfig", str(file), *words], standalone_mode=False)

        yield run


def put_peer(server: ObjectServer, name: str, *, said: str = "no way") -> None:
    condition = {"type": "Connected", "status": "False", "reason": "Unreachable", "message": said}
    spec = {"gateways": [{"host": "gw.example", "port": 15443}]}
    body = {"metadata": {"name": name}, "spec": spec, "status": {"conditions": [condition]}}
    server.put(MESH, "meshpeers", body)


def test_the_current_context_is_drawn_with_its_peers(meshctl: Meshctl) -> None:
    result = meshctl("graph", "-o", "json")
    assert result.exception is None, result.exception
    told = json.loads(result.stdout)
    assert [one["name"] for one in told["clusters"]] == ["east", "west"]
    assert told["links"][0]["ends"][0]["message"] == "no way"
    assert result.return_value == 0


@pytest.mark.parametrize("form", ["json", "yaml", "svg", "html"])
def test_no_form_steers_the_terminal_that_it_is_printed_to(
    meshctl: Meshctl, east: ObjectServer, form: str
) -> None:
    put_peer(east, "west", said="quiet\x9b31m\u202eneeuq\u2066\x85")
    result = meshctl("graph", "-o", form)
    assert "quiet" in result.stdout
    assert not set("\x9b\u202e\u2066\x85") & set(result.stdout)


def test_a_cluster_that_does_not_answer_is_in_the_picture_and_the_status_is_1(
    meshctl: Meshctl, tmp_path: Path
) -> None:
    file = tmp_path / "graph.svg"
    result = meshctl("graph", "--context", "e", "--context", "dead", "--out", str(file))
    assert result.return_value == 1
    assert result.stdout == (
        f"3 clusters (1 troubled, 1 down, 1 unknown), 1 link (1 down), 0 services: written to {file}\n"
    )
    assert "does not answer" in file.read_text()
    ElementTree.fromstring(file.read_bytes())


def test_a_file_that_cannot_be_written_is_said_so_and_leaves_nothing(
    meshctl: Meshctl, tmp_path: Path
) -> None:
    result = meshctl("graph", "--out", str(tmp_path / "nowhere" / "graph.svg"))
    assert "graph.svg cannot be written" in str(result.exception)
    assert not (tmp_path / "nowhere").exists()
