"""Spellings: one value in many forms, ordinary language in none."""

import re
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL, Literal

from deployments.sandbox.postgres import Postgres
from tasks.dumps.leak_search_forms import Kind, forms_in, search_forms, search_forms_sql
from tasks.dumps.unicode_folding import fold, folded, set_folding_map

ADDRESS = "Jürgen.MÜLLER+news@Grün-Firma.example"
SPELLINGS = [
    ADDRESS,
    ADDRESS.upper(),
    ADDRESS.lower(),
    "Jürgen.Müller+news@Grün-Firma.example".replace("ü", "u\u0308"),
    "Ｊürgen.Müller+news＠Grün－Firma．example",
    f"Bitte an {ADDRESS}.",
    f"Kennen Sie {ADDRESS}?",
    f"„{ADDRESS}“",
    f'"{ADDRESS}"',
    f"'{ADDRESS}'",
    f"‚{ADDRESS}‘",
    f"»{ADDRESS}«",
    f"({ADDRESS})",
    f"[{ADDRESS}]",
    f"<{ADDRESS}>",
    f"Jürgen Müller <{ADDRESS}>, Anna <anna@other.example>",
    f"Mail:{ADDRESS}",
    f"Mail: {ADDRESS};",
    f"mailto:{ADDRESS}?subject=Hallo",
    f'<a href="mailto:{ADDRESS}">schreiben</a>',
    "https://x.example/?email=" + quote(ADDRESS),
    "https://x.example/?email=" + quote(quote(ADDRESS)),
    "?email=" + quote(ADDRESS, safe="@") + "&page=2",
    "?q=frau+" + "JÜRGEN.müller%2Bnews%40grün-firma.example",
    ADDRESS.replace("@", "&#64;"),
    ADDRESS.replace("@", "&#x40;").replace("ü", "&uuml;"),
    ADDRESS.replace("@", "&commat;"),
    ADDRESS.replace("@", "&amp;#64;"),
    ADDRESS.replace("@", r"\u0040"),
    ADDRESS.replace("@", r"\\u0040").replace("ü", r"\\u00fc"),
    ADDRESS.replace("@", r"\x40"),
    ADDRESS.replace("@", r"\u{40}"),
    ADDRESS.replace("@", "=40"),
    ADDRESS.replace("@", "(at)"),
    ADDRESS.replace("@", " [at] ").replace(".e", " [dot] e"),
    ADDRESS.replace("@", " @ "),
    f"erste Zeile\\n{ADDRESS}\\nletzte Zeile",
    f"erste Spalte\\t{ADDRESS}",
    f'{{"email": "{ADDRESS}"}}',
    f'{{"a": "{{\\\\"email\\\\": \\\\"{ADDRESS}\\\\"}}"}}',
    f'["x", ["{ADDRESS}"]]',
    f"{{eins,{ADDRESS},drei}}",
    f'(7,"{ADDRESS}",t)',
    f'["{ADDRESS}","zzz")',
    f'"login"=>"{ADDRESS}", "b"=>NULL',
    f"<user><mail>{ADDRESS}</mail></user>",
    f"'{ADDRESS.lower()}':3 'brief':1",
    f"{ADDRESS}\u200b",
    "Jürgen.\u00adMüller+news@Grün-Firma.example",
    f"von {ADDRESS}\u00a0– gestern",
    f"x={ADDRESS}&y",
    f"cc:{ADDRESS},bcc:",
    f"{ADDRESS}/{ADDRESS}",
    f"*{ADDRESS}*",
    f"_{ADDRESS}_",
    f"{ADDRESS}…",
    f"{ADDRESS}.Danke",
    f"{ADDRESS}-Konto",
    f"{ADDRESS}!!!",
    f"🙂{ADDRESS}🙂",
]
NUMBERS = [
    "+43 664 1234567", "+436641234567", "0043 664 1234567", "00436641234567", "0664 1234567", "0664/1234567", "(0664) 1234567",
    "+43 (0)664 123 45 67", "+43-664-123-45-67", "06641234567", "0664.123.4567", "Tel.: 0664 / 123 45 67", "tel:+436641234567",
    "Fax 01 9876543 0664 1234567", "+43\u00a0664\u2009123\u202f4567", "{0664 1234567}", '{"t": "+43 664 1234567"}',
    "(+43) 664 1234567", "+43 664 – 1234567",
]  # fmt: skip
ACCOUNTS = [
    "AT61 1904 3002 3457 3201", "AT611904300234573201", "at61-1904-3002-3457-3201", "IBAN: AT61 1904 3002 3457 3201 bei der Bank",
    "<AT611904300234573201>", "iban=AT611904300234573201",
]  # fmt: skip
LOGINS = ["mmuster", "@mmuster", "Danke @MMuster, passt", "login: mmuster", "/users/mmuster/edit", "user=mmuster", '{"by": "mmuster"}',
          "{anna,mmuster}", "<mmuster>", '"mmuster"']  # fmt: skip
NAMES = [
    "Anna Xylander",
    "Xylander, Anna",
    "XYLANDER Anna",
    "anna  xylander",
    '{"name": "Anna Xylander"}',
    "{x,Anna Xylander}",
    "anna-xylander",
    "anna_xylander",
    "xylander.anna",
]
SLUGS = [
    "bwinter92-y-kunde-example",
    "bwinter92_y_kunde_example",
    "bwinter92.y-kunde.example",
    "BWINTER92 Y KUNDE EXAMPLE",
]
ORDINARY = [
    "Sehr geehrte Damen und Herren, anbei erhalten Sie die Rechnung Nr. 2024-1187 vom 12.05.2024 über 1.250,00 EUR.",
    "Valued customer, please find attached invoice INV-2024-0042, due on 2024-06-30.",
    "Das Support-Team ist von Montag bis Freitag zwischen 8:00 und 17:00 Uhr erreichbar.",
    "Your order #4711 has been shipped and will arrive within 3 to 5 business days.",
    "Bitte überweisen Sie den Betrag innerhalb von 14 Tagen ohne Abzug.",
    "The meeting has been moved to Thursday at 10:30 in room 2.14.",
    "Betreff: Rechnung und Lieferschein, siehe Anhang (PDF, 2 Seiten).",
    "Status: pending; priority: high; assigned to the billing department.",
    "Öffnungszeiten: Mo-Fr 9-18 Uhr, Sa 9-13 Uhr.",
    "Version 2.4.1 fixes the login problem; see https://docs.shop.example/release-notes/2.4.1.",
    "Schreiben Sie uns an office@shop.example oder rufen Sie +49 30 1111111 an.",
    "We noticed unusual activity in your account. If it was you, ignore this message.",
    "Die Bestellung wurde storniert. Der Betrag von 99,90 € wird erstattet.",
    "Quarterly report Q3/2024: revenue up 12.5 %, costs down 3 %.",
    "Lieferung an: Filiale Mitte, Hauptplatz, 1. Stock, Tür 4",
    "Terms & conditions apply; prices incl. 20 % VAT. Subject to change.",
    "Vertrag Nr. 100-200-300, Laufzeit 24 Monate, Kündigungsfrist 3 Monate.",
    "Reminder: your subscription renews on 01/02/2025 for $49.00.",
    "Hinweis: Winter im Büro - bitte Fenster schließen!",
    '{"type": "order", "lines": [{"sku": "AB-1001", "qty": 2}], "currency": "EUR"}',
]
PEOPLE: list[tuple[str, Kind]] = [
    (ADDRESS, "identifier"), ("+43 664 1234567", "identifier"), ("AT61 1904 3002 3457 3201", "identifier"),
    ("support", "identifier"), ("winter", "identifier"), ("Rechnung", "text"), ("Invoice", "text"), ("Anna Berger", "text"),
    ("Ihre Rechnung vom Mai", "text"), ("bwinter92", "identifier"), ("Max Mustermann, Hauptplatz 4, 1010 Wien", "text"),
    ("Bitte Rechnung 2024-1187 vom 12.05.2024 an anna@firma.example schicken", "text"), ("Mai 2024: 30 Tage", "text"),
    ('{"phone": "0664 7654321", "note": "Rechnung", "id": "x-9931"}', "nested"),
]  # fmt: skip


@pytest.mark.parametrize("text", SPELLINGS)
def test_an_address_is_found_however_it_is_spelled(text: str) -> None:
    """Every spelling of one address has the form by which it is searched for."""
    assert search_forms(ADDRESS, "identifier") & forms_in([text], nested=False)


@pytest.mark.parametrize(
    ("value", "kind", "texts"),
    [
        ("+43 664 1234567", "identifier", NUMBERS), ("0664/1234567", "identifier", NUMBERS),
        ("AT61 1904 3002 3457 3201", "identifier", ACCOUNTS), ("AT611904300234573201", "identifier", ACCOUNTS),
        ("mmuster", "identifier", LOGINS), ("Anna Xylander", "text", NAMES), ("Xylander, Anna", "text", NAMES),
        ("bwinter92.y@kunde.example", "identifier", SLUGS),
        ("bwinter92.y@kunde.example", "text", SLUGS),
    ],
)  # fmt: skip
def test_numbers_accounts_logins_and_names_are_found_however_they_are_spelled(
    value: str, kind: Kind, texts: list[str]
) -> None:
    """Every spelling of a number, an account, a login or a name has a form by which it is searched for."""
    wanted = search_forms(value, kind)
    assert [text for text in texts if not wanted & forms_in([text], nested=text[0] in "{(")] == []


def test_ordinary_business_language_is_no_alarm() -> None:
    """Twenty texts hold nothing of people whose names and subjects are words of those texts."""
    wanted = set().union(*(search_forms(value, kind) for value, kind in PEOPLE))
    assert len(ORDINARY) == 20
    assert wanted & forms_in(ORDINARY, nested=True) == set()
    assert [text for text in ORDINARY if wanted & forms_in([text], nested=False)] == []


def test_digits_within_a_hash_are_no_number() -> None:
    """Hashes and identifiers hold rows of digits by chance; a word for a telephone in front makes them a number."""
    wanted = search_forms("10.1.57.107", "identifier") | search_forms("0664 1234567", "identifier")
    for text in ("u3f10157107ab9c12d@staging.local", "c10157107", "10157107f", "e6641234567", "a716-6641234567b"):
        assert not wanted & forms_in([text], nested=False), text
    for text in ("tel06641234567", "Fax06641234567", "10157107", "10.1.57.107", "ip=10.1.57.107;"):
        assert wanted & forms_in([text], nested=False), text


def test_folding_ignores_locale_and_form() -> None:
    """German, Turkish, Greek and compatibility letters have one spelling each."""
    assert {fold(text) for text in ("Straße", "STRASSE", "straſse", "STRAẞE")} == {"strasse"}
    assert {fold(text) for text in ("İZMİR", "izmir", "ızmır", "IZMIR")} == {"izmir"}
    assert {fold(text) for text in ("ΟΔΟΣ", "οδος", "οδοσ")} == {"οδοσ"}
    assert fold("ﬁ１²") == "fi12"


@pytest.fixture(scope="module")
def connection(postgres: Postgres) -> Iterator["psycopg.Connection[object]"]:
    """A session that knows the map of characters."""
    with psycopg.connect(postgres.url()) as made:
        set_folding_map(made)
        yield made


PIECES = st.sampled_from(
    ["anna", "Müller", "STRASSE", "ß", "İ", "@", ".", "-", "_", "+", " ", "  ", "firma", "example", "0", "43", "(0)", "00",
     "664 123", "4567", "/", "AT61 1904", "30023457", ",", ";", '"', "\\n", "\n", "\t", "{", "}",
     "\u00a0", "“", "\u200b", "ｘ", "٣", "한", "é", "x"]
)  # fmt: skip
VALUES = st.one_of(
    st.lists(PIECES, max_size=12).map("".join),
    st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs", "Cn", "Co")), max_size=30),
    st.lists(PIECES, min_size=100, max_size=200).map("".join),
)


@given(text=VALUES)
@example(text="İıßﬁ１ａｂ")
@settings(max_examples=60)
def test_folding_is_the_same_in_sql(connection: "psycopg.Connection[object]", text: str) -> None:
    """PostgreSQL folds each text as Python does."""
    found = connection.execute(
        SQL("SELECT {} FROM (SELECT {}::text AS x) AS t").format(folded(SQL("x")), Literal(text))
    )
    assert (found.fetchone() or ("",))[0] == fold(text)  # type: ignore[index]  # a row of one


@given(text=VALUES, kind=st.sampled_from(["identifier", "text", "nested"]))
@example(text="+43 (0)664 1234567", kind="identifier")
@example(text="Xylander, Anna", kind="text")
@example(text="1234343anna", kind="nested")
@settings(max_examples=120)
def test_needles_are_the_same_in_sql(connection: "psycopg.Connection[object]", text: str, kind: Kind) -> None:
    """PostgreSQL makes the same forms of a value as Python does."""
    found = connection.execute(
        SQL("{}").format(search_forms_sql(SQL("{}::text").format(Literal(text)), kind))
    ).fetchall()
    assert {row[0] for row in found} == search_forms(text, kind)  # type: ignore[index]  # rows of one


@given(text=VALUES.filter(lambda text: "\\" not in text and "%" not in text and "&" not in text))
@settings(max_examples=150)
def test_a_value_that_stays_as_it_is_is_found(text: str) -> None:
    """What is searched for in a value is a form of the value itself, as a cell of its own; an address counts once."""
    cell = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    wanted, found = search_forms(text, "identifier"), forms_in([cell], nested=False)
    if re.search(r"[^\W\d_][0-9]|[0-9][^\W\d_]", fold(text)):  # a piece of a word is no number
        wanted = {form for form in wanted if form[0] != "#"}
    assert wanted <= found or ("@" in text and wanted & found)
