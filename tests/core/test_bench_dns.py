"""What the DNS benchmark asks, reads and says."""

import pytest

from mesh_bench.dns_figures import COST, LOST, Taken, change_row, row
from mesh_bench.dns_scene import corefile, denied, questions
from mesh_bench.dnsperf import latencies, read
from mesh_bench.scene import keys

# What dnsperf 2.10 wrote.
SAID = """
Statistics:

  Queries sent:         251752
  Queries completed:    251750 (100.00%)
  Queries lost:         2 (0.00%)

  Response codes:       NOERROR 238780 (94.85%), NXDOMAIN 12970 (5.15%)
  Average packet size:  request 55, response 91
  Run time (s):         3.000095
  Queries per second:   83914.009390
"""
EACH = b"> NOERROR svc-0001.dns-0.svc.clusterset.local A 0.000213\n> T svc-0002 A\n> NXDOMAIN x A 0.5\n"


def taken(*, answers: int = 1000, lost: int = 0, wrong: int = 0, cpu_s: float = 0.01) -> Taken:
    return Taken(answers=answers, wrong=wrong, lost=lost, seconds=1.0, cpu_s=cpu_s)


def test_a_report_is_read_and_what_is_none_is_an_error() -> None:
    came = read(SAID)
    assert (came.sent, came.lost, came.seconds) == (251752, 2, 3.000095)
    assert came.rcodes == {"NOERROR": 238780, "NXDOMAIN": 12970}
    assert came.answers == 251750
    with pytest.raises(ValueError, match="no report"):
        read("Error: unable to open file")


def test_a_report_of_nothing_but_losses_has_no_answers() -> None:
    text = "  Queries sent:  1\n  Queries lost:  1 (100.00%)\n  Response codes:  \n  Run time (s):  2.0\n"
    assert read(text).answers == 0


def test_latencies_are_those_of_answers() -> None:
    assert latencies(EACH) == (0.000213, 0.5)


def test_questions_are_the_same_each_time_and_of_the_kinds_that_are_promised() -> None:
    names = keys(2000, prefix="dns")
    asked = questions(names)
    assert asked == questions(names)
    lines = asked.splitlines()
    assert denied(asked) == len(lines) // 20
    assert sum(line.endswith(" AAAA") for line in lines) == len(lines) // 5
    assert sum(line.endswith(" SRV") for line in lines) == len(lines) // 20
    assert len({line.split()[0] for line in lines}) > len(names)


def test_the_peer_has_kubeadms_cache_or_none() -> None:
    with_cache, without = (corefile(port=53, kubeconfig="k", context="c", cache=one) for one in (True, False))
    assert "cache 30" in with_cache
    assert "cache" not in without


def test_wrong_and_lost_answers_are_errors_but_where_loss_is_what_is_measured() -> None:
    runs = {"ours": [taken(lost=2, wrong=1)], "coredns": [taken(cpu_s=0.02)]}
    cost = row("queries", {}, metric=COST, runs=runs, ours="ours", load=0.0)
    assert cost.errors == {"ours": 3, "coredns": 0}
    assert cost.as_json()["ratio"] == {"coredns": 2.0}
    lost = row("loss", {}, metric=LOST, runs=runs, ours="ours", load=0.0)
    assert lost.errors == {"ours": 1, "coredns": 0}
    assert lost.ours.median == pytest.approx(1996.0, abs=0.1)


def test_a_run_without_an_answer_is_no_figure() -> None:
    made = row("queries", {}, metric=COST, runs={"ours": [taken(answers=0)]}, ours="ours", load=0.0)
    assert made.ours.median is None


def test_what_is_kept_under_changes_is_a_share_of_the_same_run() -> None:
    still = {"ours": [taken(), taken(cpu_s=0.02)]}
    changed = {"ours": [taken(cpu_s=0.0125), taken(cpu_s=0.02)]}
    made = change_row(still, changed, per_s=100, ours="ours", load=0.0)
    assert made.ours.runs == (0.8, 1.0)
