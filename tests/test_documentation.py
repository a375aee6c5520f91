"""The documentation agrees with the code: every flow, form field, setting, outcome and fault is documented in the code's words.

Where a check compares whole table rows, copy the row that the failure shows into the page.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tasks.configuration.settings import Settings
from tasks.estate import errors
from tasks.masking.makers import KINDS, Maker

ROOT = Path(__file__).parents[1]
VERBS = sorted(path.stem for path in (ROOT / "flows").glob("*.py") if path.stem != "__init__")


def page(name: str) -> str:
    """Return the text of a page of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def deployments() -> list[dict[str, Any]]:
    """Return the deployments of prefect.yaml."""
    found: list[dict[str, Any]] = yaml.safe_load(page("prefect.yaml"))["deployments"]
    return found


def the_flow(verb: str) -> Any:
    """Return the flow of that name."""
    return getattr(importlib.import_module(f"flows.{verb}"), verb)


def error_classes() -> list[type[errors.UnderstudyError]]:
    """Return every class of the exception tree, in the order of its file."""
    kinds = [
        kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.UnderstudyError)
    ]
    return [kind for kind in kinds if kind is not errors.UnderstudyError]


def error_row(kind: type[errors.UnderstudyError]) -> str:
    """Return the row of docs/outcomes.md for one error class: outcome, class, meaning, next step."""
    meaning = (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " ")
    return f"| **{kind.outcome}** | `{kind.__name__}` | {meaning} | {kind.next_step} |"


def setting_row(name: str, field: FieldInfo) -> str:
    """Return the row of docs/settings.md for one setting: variable, default, meaning."""
    return f"| `UNDERSTUDY_{name.upper()}` | {_default_cell(field)} | {field.description} |"


def _default_cell(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined:
        return "**required**"
    shown = str(default).replace(str(Path.home() / ".understudy"), "~/.understudy")  # the same on every machine
    return f"`{shown}`" if shown else "empty"


def faults() -> list[str]:
    """Return the names of the emulator's faults."""
    known = importlib.import_module("deployments.sandbox.host.faults")
    return [*known.FAULTS, *known.SSH_FAULTS, *known.FILE_FAULTS]


def quoted_words(text: str) -> Iterator[str]:
    """Yield every `word` in backticks."""
    yield from re.findall(r"`([^`\n]+)`", text)


@pytest.mark.parametrize("verb", VERBS)
def test_every_flow_is_in_the_readme(verb: str) -> None:
    """The README's table of flows has a row that names the verb and links its file."""
    assert re.search(rf"^\| \[`{verb}`\]\(flows/{verb}\.py\) \|", page("README.md"), re.MULTILINE)


@pytest.mark.parametrize("verb", VERBS)
def test_every_flow_can_be_started(verb: str) -> None:
    """prefect.yaml deploys every flow, by its module and under its own name."""
    assert (f"flows.{verb}.{verb}", verb) in [(each["entrypoint"], each["name"]) for each in deployments()]


def test_every_deployment_is_a_flow_with_a_description() -> None:
    """Each entry of prefect.yaml names a flow that exists, a description, tags, and only parameters that the flow has."""
    for each in deployments():
        module, _, name = each["entrypoint"].rpartition(".")
        known = set(getattr(importlib.import_module(module), name).parameters.properties)
        assert each["description"].strip(), each["name"]
        assert each["tags"], each["name"]
        assert set(each.get("parameters", {})) <= known, each["name"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_form_field_has_a_title_and_a_description(verb: str) -> None:
    """Each field of the form in the UI has a title and a description."""
    for name, field in the_flow(verb).parameters.properties.items():
        assert field.get("title", name) != name, name
        assert field.get("description"), name


@pytest.mark.parametrize("verb", VERBS)
def test_every_flow_has_one_name(verb: str) -> None:
    """File, function and flow have the same name."""
    assert (the_flow(verb).name, the_flow(verb).fn.__name__) == (verb, verb)


def test_the_list_of_verbs_is_complete() -> None:
    """The docstring of flows/__init__.py lists every verb."""
    listed = ast.get_docstring(ast.parse(page("flows/__init__.py"))) or ""
    assert [verb for verb in VERBS if not re.search(rf"\b{verb}\b", listed)] == []


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    """docs/settings.md has a row with the variable's name, default and description, as the code has them."""
    field = Settings.model_fields[name]
    assert field.description
    assert setting_row(name, field) in page("docs/settings.md").splitlines()


def test_no_document_names_a_setting_that_does_not_exist() -> None:
    """Each UNDERSTUDY_… variable in the pages for operators is a real one."""
    real = {f"UNDERSTUDY_{name.upper()}" for name in Settings.model_fields} | set(read_variables())
    real |= {
        f"UNDERSTUDY_{name.upper()}_FILE"
        for name, field in Settings.model_fields.items()
        if field.annotation is SecretStr
    }
    for name in ("README.md", "docs/settings.md", "CHANGELOG.md"):
        assert set(re.findall(r"UNDERSTUDY_[A-Z_]*[A-Z]", page(name))) <= real, name


def read_variables() -> dict[str, str]:
    """Return every environment variable that the code reads without `Settings`, with the file that names it."""
    found = {}
    for folder in ("flows", "tasks", "deployments"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            named = dict(re.findall(r'^([A-Z_]+) = "([A-Z][A-Z0-9_]+)"', text, re.MULTILINE))
            used = re.findall(r"os\.environ(?:\.get\(|\[)(f?\"[^\"]*\"|[A-Z_]+)", text)
            for word in used:
                literal = word.strip('f"')
                for constant, value in named.items():
                    literal = literal.replace(f"{{{constant}}}", value)
                found[named.get(literal, literal)] = path.relative_to(ROOT).as_posix()
    return {name: path for name, path in found.items() if name.startswith(("UNDERSTUDY_", "APP_"))}


@pytest.mark.parametrize(("name", "path"), sorted(read_variables().items()))
def test_every_variable_that_the_code_reads_is_documented(name: str, path: str) -> None:
    """docs/settings.md has a row for each variable that is no field of `Settings`, unless only the sandbox uses it."""
    if not path.startswith("deployments/sandbox/"):
        assert re.search(rf"^\| `{name}` \|", page("docs/settings.md"), re.MULTILINE), path


def test_the_code_reads_variables_that_are_no_settings() -> None:
    """The search above finds variables that the code is known to read."""
    assert {"APP_ALLOW_PROD_IMPORT", "UNDERSTUDY_EXPORT_RUNNER", "UNDERSTUDY_EXPORT_RUNNER_ADDRESS"} <= set(
        read_variables()
    )


@pytest.mark.parametrize("name", [n for n, field in Settings.model_fields.items() if field.annotation is float])
def test_every_duration_documents_whether_the_pace_scales_it(name: str) -> None:
    """A setting in seconds that no step passes through `scaled` contains "not scaled", and no other does."""
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tasks").rglob("*.py"))
    scaled = re.search(rf"scaled\((load_settings\(\)|settings)\.{name}\b", code) is not None
    described = Settings.model_fields[name].description or ""
    assert name == "pace" or scaled != ("not scaled" in described), described


def maker_row(name: str, kind: type[Maker]) -> str:
    """Return the row of docs/masking-policy.md for one maker: name, anonymizer, options with their defaults, its result."""
    options = {
        field.alias or key: field for key, field in kind.model_fields.items() if key not in ("maker", "anonymizer")
    }
    shown = ", ".join(f"`{option}` ({_default_of(field)})" for option, field in options.items())
    sentence = " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split()).split(". ")[0].rstrip(".")
    return f"| `{name}` | {kind.model_fields['anonymizer'].default or '–'} | {shown or '–'} | {sentence}. |"


def _default_of(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "**required**"
    return "–" if field.default is None else str(field.default)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_maker_is_documented(name: str) -> None:
    """docs/masking-policy.md has a row with the maker's anonymizer, options and meaning, as the code has them."""
    assert maker_row(name, KINDS[name]) in page("docs/masking-policy.md").splitlines()


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_every_error_is_documented(kind: type[errors.UnderstudyError]) -> None:
    """docs/outcomes.md has a row with the error's outcome, class, meaning and next step, as the code has them."""
    assert error_row(kind) in page("docs/outcomes.md").splitlines()


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_the_diagram_of_errors_contains_every_class(kind: type[errors.UnderstudyError]) -> None:
    """The diagram in the docstring of tasks/estate/errors.py names every class."""
    assert re.search(rf"[├└]─ {kind.__name__}\b", inspect.getdoc(errors) or "")


def test_every_outcome_is_documented() -> None:
    """docs/outcomes.md has every outcome that is not an error's."""
    endings = re.findall(r'^[A-Z_]+ = "([A-Z]\w+)"', page("tasks/estate/outcomes.py"), re.MULTILINE)
    assert len(endings) >= 16
    assert [word for word in endings if f"| **{word}** |" not in page("docs/outcomes.md")] == []


def test_every_fault_is_documented() -> None:
    """docs/faults.md names each fault of the emulator."""
    assert [name for name in faults() if name not in set(quoted_words(page("docs/faults.md")))] == []


def test_every_make_target_has_a_description() -> None:
    """Each target has a sentence that `make help` prints."""
    makefile = page("Makefile")
    targets = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert targets
    undescribed = [name for name in targets[1].split() if not re.search(rf"^{name}:.*## \w", makefile, re.MULTILINE)]
    assert undescribed == []


PAGES = ["README.md", "CHANGELOG.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^ *(```|~~~).*?^ *\1", re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """Return the anchors of a page, as GitHub makes them: lower case, no punctuation, dashes for blanks, numbered if double."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", FENCED.sub("", text), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        found.add(next(each for each in (slug, *(f"{slug}-{n}" for n in range(1, 99))) if each not in found))
    return found


def dead_links(name: str) -> list[str]:
    """Return the relative links of a page that lead to no file of this repository, or to no heading of a page of it."""
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)[^)]*\)", page(name)):
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        if "://" in link or link.startswith("mailto:"):
            continue
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target.read_text())):
            dead.append(link)
    return dead


@pytest.mark.parametrize("name", PAGES)
def test_every_link_has_a_target(name: str) -> None:
    """Every relative link and picture leads to a file of this repository, and every anchor to a heading of that page."""
    assert dead_links(name) == []


def test_an_anchor_is_made_as_github_makes_it() -> None:
    """Code, links, punctuation and repeated headings have the anchors that the rendered page has; code blocks have none."""
    text = "# `make demo`, then *what*?\n## A [link](x.md) – here\n## Why\n## Why\n```sh\n# not a heading\n```\n"
    assert anchors(text) == {"make-demo-then-what", "a-link--here", "why", "why-1"}


NAMED = r"`((?:tests/[\w/]+/)?test_\w+(?:\.py)?)(?:::(\w+))?`"


@pytest.mark.parametrize("name", PAGES[2:])
def test_every_test_that_a_page_names_exists(name: str) -> None:
    """Each test file and function that a page names exists."""
    files = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "tests").rglob("test_*.py")}
    known = {*files, *(path.name for path in files.values()), "test_payments"}  # the last one is a step after a copy
    known |= {
        word for path in files.values() for word in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    assert [word for pair in re.findall(NAMED, page(name)) for word in pair if word and word not in known] == []
