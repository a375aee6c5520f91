"""Keeping out, hiding, marking and mail: what visitors see, what is read back, and what a promotion removes."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from tasks.estate.recipes import CopyStep, Mail, Recipe
from tasks.neutralisation import visibility
from tasks.neutralisation.context import Context
from tasks.neutralisation.must_use import Part, content
from tasks.neutralisation.steps import STEPS
from tests.tasks.neutralisation.conftest import looking, visit


@pytest.fixture
def seen(context: Context, estate: Host, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A context whose site can be visited; there is no time to wait."""
    monkeypatch.setattr(visibility, "SEEN_WITHIN", 0.3)
    monkeypatch.setattr(visibility, "LOOK_EVERY", 0.01)
    return replace(context, visit=looking(estate))


def test_visitors_are_kept_out_and_let_in(connection: Any, seen: Context, estate: Host) -> None:
    """Both are seen from the outside."""
    assert visit(estate).status == 200
    estate.named("schulstage")
    assert visibility.apply_keep_out(connection, seen).is_safe
    assert visit(estate, "/wp-json/").status == 503
    assert visibility.let_in(connection, seen).is_safe
    assert visit(estate, "/wp-json/").status == 200


def test_a_file_that_the_website_does_not_see_keeps_nobody_out(connection: Any, seen: Context, estate: Host) -> None:
    """The command line sees the file at once and the website later: the step is safe only when visitors see it."""
    estate.switch_on("files-late", install="schulstage", seconds=10_000_000)
    done = visibility.apply_keep_out(connection, seen)
    assert (done.checked, done.still_dangerous) == (False, "visitors still see the site")
    estate.switch_off_all()
    assert visibility.apply_keep_out(connection, seen).is_safe


def test_a_site_that_does_not_answer_is_not_known(connection: Any, context: Context, seen: Context) -> None:
    """Without an answer nothing is claimed."""
    silent = replace(seen, visit=lambda: None)
    assert visibility.apply_keep_out(connection, silent).checked is None


def test_a_plugin_that_is_not_loaded_is_dangerous(connection: Any, context: Context) -> None:
    """A host that loads no must-use plugins, or from another folder, is found by the read-back."""

    def never_loaded(command: Any, when: str) -> None:
        if command.values[:1] and command.values[0] in visibility.LOADED.values():
            object.__setattr__(command, "values", ('echo has_filter("pre_wp_mail") ? "no" : "no";',))

    for step in (CopyStep.KEEP_OUT, CopyStep.STOP_MAIL, CopyStep.HIDE_FROM_SEARCH, CopyStep.MARK_STAGING):
        connection.interrupt = _answering_no(connection)
        done = STEPS[step].apply(connection, context)
        assert done.checked is False
        assert "does not load the must-use plugin" in done.still_dangerous


def _answering_no(connection: Any) -> Any:
    def interrupt(command: Any, when: str) -> None:
        install = connection.estate.named("schulstage")
        if when == "before" and command.values[:1] and command.values[0] in visibility.LOADED.values():
            install["files"]["must_use"] = {}
            connection.estate.store.put("installs", install)

    return interrupt


def test_a_plugin_with_a_mail_function_of_its_own_is_named(connection: Any, context: Context, estate: Host) -> None:
    """It does not ask our filter."""
    estate.change_inside("schulstage", replaces_wp_mail=True)
    done = visibility.apply_mail(connection, context)
    assert (done.checked, done.still_dangerous) == (False, "a plugin sends e-mails by a function of its own")


def test_a_redirect_sends_to_one_address_only(connection: Any, context: Context, estate: Host) -> None:
    """What staging sends goes to the team."""
    mail = Mail(mode="redirect", address="team@example.org")
    assert visibility.apply_mail(connection, replace(context, recipe=Recipe(mail=mail))).is_safe
    estate.pass_hour("schulstage")
    assert {row["to"] for row in estate.outbox("schulstage") if row["kind"] == "mail"} == {"team@example.org"}


def test_another_recipe_replaces_the_plugin(connection: Any, context: Context) -> None:
    """A changed recipe is a place to change; the same one is not."""
    visibility.apply_mail(connection, context)
    assert visibility.count_mail(connection, context).places == 0
    assert visibility.count_mail(connection, replace(context, recipe=Recipe(mail=Mail(mode="log")))).places == 1


def test_the_mark_names_the_copy(connection: Any, context: Context) -> None:
    """Source, moment, run and recipe; a later copy is another mark."""
    assert visibility.read_mark(connection) is None
    visibility.apply_mark(connection, context)
    assert visibility.read_mark(connection) == {
        "source": "schulprod", "moment": "2026-01-02T03:04:00+00:00", "run": "quiet-otter",
        "recipe": context.recipe.digest, "masked": True,
    }  # fmt: skip
    assert visibility.count_mark(connection, replace(context, run="other")).places == 1


def test_a_promotion_removes_what_the_steps_added(connection: Any, context: Context, estate: Host) -> None:
    """Files, options and hiding are gone, `blog_public` is the source's, and a repetition finds nothing."""
    for step in context.recipe.steps:
        STEPS[step].apply(connection, context)
    for _ in range(2):
        assert visibility.remove_marks(connection, context) == ()
    rows = {row[1]: row[2] for row in estate.named("schulstage")["database"]["rows"]["wp_options"]}
    assert rows["blog_public"] == "1"
    assert not [name for name in rows if name.startswith("understudy")]
    assert visit(estate, seen="now").status == 200
    assert b"understudy" not in visit(estate, seen="now").body


def test_a_repeated_hiding_remembers_what_the_source_had(connection: Any, context: Context, estate: Host) -> None:
    """The second run finds 0, which is ours, and does not remember it as the source's."""
    visibility.apply_hidden(connection, context)
    visibility.apply_hidden(connection, context)
    rows = {row[1]: row[2] for row in estate.named("schulstage")["database"]["rows"]["wp_options"]}
    assert (rows["blog_public"], rows[visibility.BEFORE]) == ("0", "1")


@pytest.mark.parametrize("part", Part)
def test_a_file_contains_its_facts_and_nothing_to_interpret(part: Part) -> None:
    """Facts travel as base64, so that no text of a recipe becomes PHP."""
    text = "'; system('id'); //\"?>"
    made = content(part, "schulstage", text=text).decode()
    assert "system" not in made
    (encoded,) = [each for each in made.split('"') if each.startswith("ey")]
    assert json.loads(base64.b64decode(encoded))["text"] == text
    assert 'PWP_NAME !== $facts["install"]' in made
