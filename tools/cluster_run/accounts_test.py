# SPDX-License-Identifier: GPL-3.0-or-later

from tools.cluster_run.accounts import Phase, account


def test_all_arrived() -> None:
    found = account([1, 2, 3], [3, 1, 2])
    assert (found.sent, found.received) == (3, 3)
    assert not found.lost | found.held | found.recovered | found.twice


def test_what_arrived_more_than_once() -> None:
    found = account([1, 2, 3], [1, 2, 2, 3, 3, 3])
    assert found.received == 3
    assert found.twice == {2, 3}
    assert not found.lost


def test_what_nobody_was_told_to_be_sent_may_arrive() -> None:
    found = account([1], [1, 2])
    assert (found.sent, found.received) == (1, 2)
    assert not found.lost


def test_each_missing_message_is_in_one_place() -> None:
    found = account(
        [1, 2, 3, 4, 5], [1], held=[1, 2, 3, 9], recovered=[1, 3, 4, 9]
    )
    assert found.held == {2}
    assert found.recovered == {3, 4}
    assert found.lost == {5}


def test_shares() -> None:
    phase = Phase("all nodes", [30, 10, 0])
    assert [phase.share(node) for node in range(3)] == [75, 25, 0]


def test_shares_of_nothing() -> None:
    assert Phase("nobody", [0, 0]).share(0) == 0
