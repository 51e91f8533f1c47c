"""The metrics of several workers are one page, in which each sample says whose it is."""

from mesh_runtime.metrics_merge import merged

ONE = """\
# HELP opened_total Streams opened.
# TYPE opened_total counter
opened_total{peer="east",direction="to peer"} 3.0
opened_total{peer="a } b\\"{"} 1.0
# HELP ready Whether it is.
# TYPE ready gauge
ready 1.0
"""
TWO = """\
# HELP opened_total Streams opened.
# TYPE opened_total counter
opened_total{peer="east",direction="to peer"} 5.0
# HELP only_here Something else.
# TYPE only_here gauge
only_here{} 2.0 1700000000000
"""


def test_lines_of_one_metric_stand_together_below_one_head() -> None:
    assert merged({"0": ONE, "1": TWO}).splitlines() == [
        "# HELP opened_total Streams opened.",
        "# TYPE opened_total counter",
        'opened_total{worker="0",peer="east",direction="to peer"} 3.0',
        'opened_total{worker="0",peer="a } b\\"{"} 1.0',
        'opened_total{worker="1",peer="east",direction="to peer"} 5.0',
        "# HELP ready Whether it is.",
        "# TYPE ready gauge",
        'ready{worker="0"} 1.0',
        "# HELP only_here Something else.",
        "# TYPE only_here gauge",
        'only_here{worker="1"} 2.0 1700000000000',
    ]


def test_a_worker_that_says_nothing_is_left_out() -> None:
    assert merged({}) == ""
    assert 'worker="1"' not in merged({"0": ONE, "1": ""})
