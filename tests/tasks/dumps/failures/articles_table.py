"""A table of articles whose slug is derived from a title that is masked."""

from typing import Any

import pytest

from tasks.estate.errors import PolicyRefused

ARTICLES = "CREATE TABLE articles (id int PRIMARY KEY, title text, tag text, slug text);"
ROWS = "INSERT INTO articles VALUES (1, 'Brief an Erika Mustermann', 'letter', 'brief-an-erika-mustermann'), (2, NULL, 'x', NULL)"
MASKED = "articles: {id: keep, title: scrub, tag: keep, slug: SLUG}"


def refusal(pair: Any, *parts: str) -> str:
    """The message with which the plan is refused, which has all these parts."""
    with pytest.raises(PolicyRefused) as caught:
        pair.plan()
    for part in parts:
        assert part in caught.value.message
    return str(caught.value.message)


def policy_with(slug: str) -> str:
    """The policy of the articles, with this rule for the slug."""
    return MASKED.replace("SLUG", slug)
