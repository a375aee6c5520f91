"""The prefilter of the leak search: traits of forms, which exclude most texts before their forms are hashed.

The source sends the trait of each form that it hashed; a text whose forms have none of these traits contains none of the
values. A trait may match too many texts and never too few; the hashes decide. Traits are lossy: of numbers, addresses and
tokens they are keyed hashes of a part, of words they count eight letters. No value can be read from them, and they are
sealed as the hashes are.
"""

from collections.abc import Collection, Iterable
from hashlib import sha256
from itertools import compress

from psycopg.sql import SQL, Composable, Literal

# The counts of letters are the same in any order of words. The most frequent letters are left out, because they cost more time.
LETTERS = b"stildmou"
ENDING = 7  # last digits of a number; every searched number has as many
_PRIME = 2**31 - 1
_ENDINGS = 2**22 - 1
_BITS = 7  # of a count; a higher one counts as the highest
_MOST = 2**_BITS - 1
_BREAK = b"\n"
_NOT_COUNTED = bytes(set(range(256)) - set(LETTERS + _BREAK))
_OTHER_THAN = tuple(bytes(set(LETTERS) - {letter}) for letter in LETTERS)
_NUMBERS, _OTHERS = 1 << 60, 1 << 61  # bits that mark the kind; a trait of words has neither
_HASH = 2**56 - 1
_REMEMBERED = 1 << 16


class Traits:
    """The traits of the source's forms. If they are not known, every text may match."""

    def __init__(self, key: str, known: Collection[int] | None = None) -> None:
        """`key`: that of the leak search."""
        self._factor = int.from_bytes(sha256(f"{key}/#".encode()).digest()[:4], "big") % (_PRIME - 1) + 1
        self._key, self._all = key, known is None
        self._known = frozenset(known or ())
        self._words = frozenset(map(_counts, (trait for trait in self._known if trait < _NUMBERS)))
        self._domains: dict[str, bool] = {}
        self._tokens: dict[tuple[int, str], bool] = {}

    def of(self, form: str) -> int:
        """Return the trait of a form. The Python twin of `of_sql`."""
        if "@" in form:
            return self._hashed(form[form.index("@") :])
        if form[0] == "#":
            return self._ending(form[-ENDING:]) | _NUMBERS
        if form[0] != "=" and any(c in "0123456789._+-" for c in form):
            return self._hashed(f"{len(form)}{form[0]}")
        counts = [min(form.encode().count(letter), _MOST) for letter in LETTERS]
        return sum(count << _BITS * place for place, count in enumerate(counts))

    def words_among(self, texts: Collection[bytes]) -> Iterable[bytes]:
        """Return the texts that may consist of the words of a value in any order. All letters are counted at once."""
        if self._all:
            return texts
        counted = _BREAK.join(texts).translate(None, _NOT_COUNTED)
        each = [[len(left) for left in counted.translate(None, others).split(_BREAK)] for others in _OTHER_THAN]
        if len(texts) and max(map(max, each)) > _MOST:
            each = [[min(count, _MOST) for count in counts] for counts in each]
        return compress(texts, map(self._words.__contains__, zip(*each, strict=True)))

    def may_end(self, digits: str) -> bool:
        """Return whether a searched number may end with these digits."""
        return self._all or self._ending(digits[-ENDING:]) | _NUMBERS in self._known

    def may_be_token(self, token: str) -> bool:
        """Return whether a token that is not an address may be searched for."""
        if self._all:
            return True
        about = (len(token), token[0])
        if about not in self._tokens:
            self._tokens[about] = self._hashed(f"{len(token)}{token[0]}") in self._known
        return self._tokens[about]

    def may_be_at(self, domain: str) -> bool:
        """Return whether a searched address ends with `domain` or a beginning of it, from `@` on."""
        if self._all:
            return True
        if domain not in self._domains:
            if len(self._domains) > _REMEMBERED:
                self._domains.clear()
            ends = [place for place, character in enumerate(domain) if character in "._+-"]
            self._domains[domain] = any(self._hashed(domain[:end]) in self._known for end in (*ends, len(domain)))
        return self._domains[domain]

    def _ending(self, digits: str) -> int:
        return int(digits) * self._factor % _PRIME & _ENDINGS

    def _hashed(self, text: str) -> int:
        return int.from_bytes(sha256(f"{self._key}/{text}".encode()).digest()[:7], "big") & _HASH | _OTHERS

    def of_sql(self, form: Composable) -> Composable:
        """Return the SQL twin of `of`: a bigint, of a text expression. The key is read from `understudy.search_key`."""
        counts = SQL(" | ").join(
            SQL(
                "(least(char_length({form}) - char_length(replace({form}, {letter}, '')), {most})::bigint << {place})"
            ).format(form=form, letter=Literal(chr(letter)), most=Literal(_MOST), place=Literal(_BITS * place))
            for place, letter in enumerate(LETTERS)
        )
        hashed = SQL(
            "('x0' || left(encode(sha256(convert_to((SELECT current_setting('understudy.search_key')) || '/' ||"
            " CASE WHEN strpos({form}, '@') > 0 THEN substr({form}, strpos({form}, '@'))"
            " ELSE char_length({form}) || left({form}, 1) END, 'UTF8')), 'hex'), 14))::bit(60)::bigint"
        )
        return SQL(
            "CASE WHEN strpos({form}, '@') > 0 OR ({form} ~ '[0-9._+-]' AND left({form}, 1) NOT IN ('#', '='))"
            " THEN {hashed} | {others}::bigint"
            " WHEN left({form}, 1) = '#' THEN (right({form}, {ending})::bigint * {factor}::bigint % {prime}::bigint & {endings})"
            " | {numbers}::bigint ELSE {counts} END"
        ).format(
            form=form,
            hashed=hashed.format(form=form),
            others=Literal(_OTHERS),
            ending=Literal(ENDING),
            factor=Literal(self._factor),
            prime=Literal(_PRIME),
            endings=Literal(_ENDINGS),
            numbers=Literal(_NUMBERS),
            counts=counts,
        )


def _counts(trait: int) -> tuple[int, ...]:
    return tuple(trait >> _BITS * place & _MOST for place in range(len(LETTERS)))


ANY = Traits("")
