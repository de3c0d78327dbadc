# SPDX-License-Identifier: GPL-3.0-or-later
from tools.scenario_run.matching import Pool


def pool(*items: str) -> Pool[str]:
    result: Pool[str] = Pool()
    for item in items:
        result.add(item)
    return result


def test_the_oldest_that_fits_is_taken_and_only_once() -> None:
    letters = pool("a1", "b1", "a2")
    assert letters.take(lambda item: item[0] == "a") == "a1"
    assert letters.take(lambda item: item[0] == "a") == "a2"
    assert letters.take(lambda item: item[0] == "a") is None
    assert letters.left() == ["b1"]


def test_order_does_not_matter_unless_it_is_asked_for() -> None:
    letters = pool("a", "b", "c")
    assert letters.take(lambda item: item == "b") == "b"
    assert letters.first(lambda item: item == "a", in_order=True) is None
    assert letters.take(lambda item: item == "a", in_order=True) is None
    assert letters.take(lambda item: item == "c", in_order=True) == "c"
    assert letters.take(lambda item: item == "a") == "a"


def test_in_order_is_from_the_item_that_was_taken_last() -> None:
    letters = pool("a", "b", "c")
    assert letters.take(lambda item: item == "c") == "c"
    assert letters.take(lambda item: item == "a") == "a"
    assert letters.take(lambda item: item == "b", in_order=True) == "b"


def test_to_look_is_not_to_take() -> None:
    letters = pool("a")
    assert letters.first(lambda item: True) == "a"
    assert letters.left() == ["a"]


def test_what_comes_later_is_found() -> None:
    letters = pool()
    assert letters.take(lambda item: True) is None
    letters.add("a")
    assert letters.take(lambda item: True) == "a"


def test_what_goes_along_is_taken_too_where_it_was_earlier() -> None:
    letters = pool("a1", "b1", "a2", "a3")

    def same_letter(taken: str, earlier: str) -> bool:
        return taken[0] == earlier[0]

    assert letters.take(lambda item: item == "a2", along=same_letter) == "a2"
    assert letters.left() == ["b1", "a3"]
