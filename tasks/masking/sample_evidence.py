"""What sampled values show about a column, as counts only: no value is kept."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.masking.personal_values import CERTAIN, Kind, recognise_value

ENOUGH = 5  # a share of fewer values means nothing, unless a single value is proof
YEARS = 8  # dates of birth span more years than this; dates of one school year do not
UNSAFE = r"[.\[\]]"  # they would be read as part of the path
MARK = re.compile(r"\$2[aby]\$(?=\d)|[A-Z]{2}(?=\d{2} ?[0-9A-Z]{4})")
YEAR = re.compile(r"19\d\d|20\d\d")
MEMBERS = 60  # distinct paths above which the keys of a JSON document are data themselves

# The share of sampled values from which a column has this kind, whatever its name. The first one in this order applies.
# Check digits alone need a large share: one number in ten passes a Luhn check by chance.
SHARES = (
    (Kind.EMAIL, 0.5), (Kind.IBAN, 0.5), (Kind.PASSWORD, 0.5), (Kind.CARD, 0.8), (Kind.NATIONAL_ID, 0.8), (Kind.URL, 0.6),
    (Kind.IP, 0.8), (Kind.PHONE, 0.7), (Kind.STREET, 0.6), (Kind.ADDRESS, 0.6), (Kind.SECRET, 0.6), (Kind.UUID, 0.9),
    (Kind.CHECKSUM, 0.9), (Kind.FULL_NAME, 0.4), (Kind.FIRST_NAME, 0.6), (Kind.LAST_NAME, 0.5), (Kind.FREE_TEXT, 0.2),
)  # fmt: skip


@dataclass(frozen=True)
class Evidence:
    """Counts over the non-empty values of a sample. `mean` is the mean length in characters, `years` the span of the dates,
    `mark` the most frequent scheme of password hashes (`$2y$`) or country of IBANs (`AT`).
    """

    count: int = 0
    distinct: int = 0
    mean: float = 0.0
    years: int = 0
    mark: str = ""
    kinds: tuple[tuple[Kind, int], ...] = ()

    def of(self, kind: Kind) -> int:
        """Return how many values look like `kind`."""
        return dict(self.kinds).get(kind, 0)

    def share(self, kind: Kind) -> float:
        """Return the same as a share of all values, 0 to 1."""
        return self.of(kind) / self.count if self.count else 0.0

    @property
    def certain(self) -> Kind | None:
        """Return a kind of which one occurrence is proof, if there is one."""
        return next((kind for kind, number in self.kinds if kind in CERTAIN and number), None)

    @property
    def kind(self) -> Kind | None:
        """Return the kind of most values, if there are enough of them."""
        if self.count < ENOUGH and not self.certain:
            return None
        return next((kind for kind, least in SHARES if self.share(kind) >= least), None)

    @property
    def birth_dates(self) -> bool:
        """Whether nearly all values are plain dates that span more years than appointments do."""
        return self.count >= ENOUGH and self.share(Kind.BIRTH_DATE) >= 0.9 and self.years > YEARS


def evidence_of(samples: Sequence[str]) -> Evidence:
    """Return the evidence in sampled values (PostgreSQL's text output)."""
    values = [value for value in samples if value.strip()]
    if not values:
        return Evidence()
    kinds: Counter[Kind] = Counter()
    for value, number in Counter(values).items():
        for kind in recognise_value(value):
            kinds[kind] += number
    dated = kinds[Kind.BIRTH_DATE] > 0
    years = [int(year[0]) for value in values if (year := YEAR.search(value[:12]))] if dated else []
    marked = kinds[Kind.PASSWORD] or kinds[Kind.IBAN]
    marks = Counter(mark[0] for value in values if (mark := MARK.match(value))) if marked else Counter()
    return Evidence(
        mark=marks.most_common(1)[0][0] if marks else "",
        count=len(values),
        distinct=len(set(values)),
        mean=sum(map(len, values)) / len(values),
        years=max(years) - min(years) if years else 0,
        kinds=tuple(sorted((kind, number) for kind, number in kinds.items() if number)),
    )


def elements_of_arrays(samples: Sequence[str]) -> list[str]:
    """Return the elements of arrays in PostgreSQL's text output (`{a,"b \\" c",NULL}`), of any dimension, without NULLs."""
    found = []
    for text in samples:
        for quoted, plain in re.findall(r'"((?:[^"\\]|\\.)*)"|([^{},"]+)', text):
            if plain != "NULL":
                found.append(re.sub(r"\\(.)", r"\1", quoted) or plain)
    return found


def members_of_documents(samples: Sequence[str]) -> dict[str, list[Any]] | None:
    """Return the leaves of JSON documents by path (`$.items[*].email`), or None if the keys are data instead of names: too
    many, not shaped like names, or personal themselves, so that a path must not be written to a policy.
    """
    leaves: dict[str, list[Any]] = defaultdict(list)
    keys: Counter[str] = Counter()
    for text in samples:
        try:
            document = json.loads(text)
        except ValueError:
            return None
        found = list(_leaves(document, "$"))
        keys.update({key for path, _ in found for key in path.replace("[*]", "").split(".")[1:]})
        for path, value in found:
            leaves[path].append(value)
    if len(leaves) > MEMBERS or not all(_is_a_name(key, held / len(samples)) for key, held in keys.items()):
        return None
    return dict(sorted(leaves.items()))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _leaves(member, f"{path}.{re.sub(UNSAFE, chr(0), key)}")
    elif isinstance(value, list):
        for member in value:
            yield from _leaves(member, f"{path}[*]")
    elif value is not None:
        yield path, value


def _is_a_name(key: str, held: float) -> bool:
    """Return whether a programmer wrote a key: it starts in lower case, is not a number, and is not a person's name unless
    most documents have it (`held`, 0 to 1): `meta` is a first name, too.
    """
    shaped = re.fullmatch(r"[a-z_][A-Za-z_-]{0,39}\d{0,2}", key) is not None
    return shaped and (held >= 0.8 or not recognise_value(key.capitalize()))
