from __future__ import annotations

import pytest

from app.examples import made_from, odd_ones


@pytest.mark.parametrize(
    ("scores", "odd"),
    [
        ([], []),
        ([0.9, 0.1], []),  # which of two is the odd one?
        ([0.9, 0.8, 0.1], [2]),
        ([0.9, 0.8, 0.21], [2]),
        ([0.9, 0.8, 0.22], []),
        ([0.1, 0.08, 0.09, 0.06], []),  # all are hard to find
        ([0.8, 0.8, 0.8, 0.0, 0.1], [3, 4]),
        ([0.0, 0.0, 0.0], []),
        ([0.9, 0.0, 0.0, 0.0], []),  # one that is found by itself does not make the others odd
    ],
)
def test_odd_is_what_the_others_do_not_find_although_they_find_each_other(scores, odd):
    assert odd_ones(dict(enumerate(scores))) == set(odd)


def test_a_score_depends_on_the_others_in_any_order_and_not_on_being_one_of_them():
    assert made_from("a", ["b", "c"]) == made_from("a", ["c", "a", "b"])
    assert made_from("a", ["b"]) != made_from("a", ["b", "c"])
    assert made_from("a", ["b"]) != made_from("b", ["a"])
