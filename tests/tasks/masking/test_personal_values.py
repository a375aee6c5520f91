"""Values, names and texts: every kind is recognised, look-alikes are not, and no value takes much time."""

import time

import pytest
from faker import Faker
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.masking import personal_values as values
from tasks.masking.personal_columns import recognise_name, spelling
from tasks.masking.personal_values import Kind, recognise_in_text, recognise_value

BCRYPT = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
ARGON = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b27dWzhqvqmaZqZ"
WEB_TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4fwpM"

VALUES = [
    (Kind.EMAIL, "anna.huber@example.org"), (Kind.EMAIL, "o'brien+tag@mail.example.co.at"),
    (Kind.EMAIL, "jürgen@übung.example"), (Kind.IBAN, "DE89370400440532013000"),
    (Kind.IBAN, "AT61 1904 3002 3457 3201"), (Kind.CARD, "4111 1111 1111 1111"), (Kind.CARD, "5500005555555559"),
    (Kind.PHONE, "+43 664 1234567"), (Kind.PHONE, "0049-89-1234567"), (Kind.PHONE, "0664/1234567"),
    (Kind.PHONE, "(030) 123456-78"), (Kind.STREET, "Hauptstraße 5/3"), (Kind.STREET, "Am Alten Platz 12a"),
    (Kind.STREET, "Linzer Gasse 7"), (Kind.POSTCODE, "1010"), (Kind.POSTCODE, "D-01067"), (Kind.ADDRESS, "4020 Linz"),
    (Kind.FULL_NAME, "Anna Huber"), (Kind.FULL_NAME, "Huber, Anna"), (Kind.FULL_NAME, "Frau Mag. Berger"),
    (Kind.FIRST_NAME, "Anna"), (Kind.LAST_NAME, "Müller"), (Kind.BIRTH_DATE, "1980-02-03"),
    (Kind.BIRTH_DATE, "3.2.1980"), (Kind.NATIONAL_ID, "1237 010180"), (Kind.NATIONAL_ID, "36574261809"),
    (Kind.NATIONAL_ID, "756.9217.0769.85"), (Kind.PASSWORD, BCRYPT), (Kind.PASSWORD, ARGON),
    (Kind.PASSWORD, "pbkdf2_sha256$260000$abcdefghijkl$0123456789abcdefghijklmnopqr="), (Kind.SECRET, WEB_TOKEN),
    (Kind.SECRET, "gT7xK92mQp4ZbL0vWnR3sYhD"), (Kind.SECRET, "sk_live_4eC39HqLyjWDarjtT1zdp7dc"),
    (Kind.CHECKSUM, "d41d8cd98f00b204e9800998ecf8427e"), (Kind.UUID, "550e8400-e29b-41d4-a716-446655440000"),
    (Kind.IP, "203.0.113.7"), (Kind.IP, "2001:db8::1/64"), (Kind.URL, "https://example.org/~anna"),
    (Kind.FREE_TEXT, "Bitte Anna Huber zurückrufen"),
    (Kind.FREE_TEXT, "Der Ausflug findet bei jedem Wetter am Montag statt"),
]  # fmt: skip
LOOK_ALIKES = [
    (Kind.IBAN, "DE89370400440532013001"), (Kind.CARD, "4111 1111 1111 1112"), (Kind.CARD, "0000000000000000"),
    (Kind.NATIONAL_ID, "1238 010180"), (Kind.NATIONAL_ID, "36574261808"), (Kind.IP, "08:15"), (Kind.IP, "1.2.3"),
    (Kind.IP, "300.1.1.1"), (Kind.EMAIL, "anna@localhost"), (Kind.PHONE, "2024-01-31"),
    (Kind.SECRET, "elternabend-2024-unterlagen-klasse"),
    (Kind.SECRET, "https://example.org/a/very/long/path/0123456789"), (Kind.BIRTH_DATE, "1980-02-03 10:00:00"),
    (Kind.FIRST_NAME, "3a"), (Kind.FULL_NAME, "Turnsaal Nord"), (Kind.STREET, "Raum 12"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=lambda part: str(part)[:25])
def test_a_value_is_recognised(kind: Kind, value: str) -> None:
    """Each kind of personal value is recognised, also with white space around it."""
    assert kind in recognise_value(value)
    assert kind in recognise_value(f"  {value}\n")


@pytest.mark.parametrize(("kind", "value"), LOOK_ALIKES, ids=lambda part: str(part)[:25])
def test_a_look_alike_is_not_recognised(kind: Kind, value: str) -> None:
    """A wrong check digit, a date or a slug does not count as the kind that it resembles."""
    assert kind not in recognise_value(value)


@pytest.mark.parametrize("value", ["", "   ", "3a", "open", "NULL", "12.50", "true", "Musik"])
def test_ordinary_values_are_not_personal(value: str) -> None:
    """Codes, amounts and empty values have no kind."""
    assert recognise_value(value) == set()


def test_fakes_of_faker_are_recognised() -> None:
    """Of five hundred German and Austrian fakes of each kind, most are recognised."""
    makers = {
        Kind.EMAIL: ("email", 1.0), Kind.IBAN: ("iban", 1.0), Kind.STREET: ("street_address", 0.7),
        Kind.FULL_NAME: ("name", 0.6), Kind.PHONE: ("phone_number", 0.9), Kind.FIRST_NAME: ("first_name", 0.9),
    }  # fmt: skip
    for locale in ("de_DE", "de_AT"):
        fake = Faker(locale)
        fake.seed_instance(7)
        for kind, (method, least) in makers.items():
            seen = sum(kind in recognise_value(getattr(fake, method)()) for _ in range(500))
            assert seen >= 500 * least, (locale, kind, seen)


@given(st.text(max_size=300))
def test_any_text_is_accepted(text: str) -> None:
    """No text makes the recognition fail."""
    assert recognise_value(text) <= set(Kind)
    assert recognise_in_text(text) <= set(Kind)


@pytest.mark.parametrize(
    "unit", ["a", "1", "a.", "a@", "A1 ", "0 ", "Am Weg ", "+4", "(0", "x@a.", "$2b$", "AT61 ", "-", "::"]
)
def test_no_value_is_expensive(unit: str) -> None:
    """Twenty thousand characters on which patterns could backtrack take seconds at most."""
    started = time.process_time()
    recognise_value(unit * (20_000 // len(unit)))
    assert time.process_time() - started < 20  # 0.1 on a free machine; backtracking would take hours


TEXTS = [
    (Kind.EMAIL, "COMMENT: ask anna.huber@example.org."),
    (Kind.EMAIL, "NEW.mail := COALESCE(NEW.mail, 'boss@school.example');"),
    (Kind.IBAN, "Konto AT61 1904 3002 3457 3201 bei der Bank"), (Kind.PHONE, "Notfall: +43 664 1234567, bitte"),
    (Kind.PHONE, "Tel. 0664/1234567"), (Kind.FULL_NAME, "added for Anna Huber in 2019"),
    (Kind.FULL_NAME, "siehe Frau Dr. Svjetlana"), (Kind.STREET, "wohnt in der Hauptstraße 5 seit 2019"),
    (Kind.NATIONAL_ID, "SV-Nr 1237 010180 testen"), (Kind.PASSWORD, f"DEFAULT '{BCRYPT}'"),
    (Kind.SECRET, "dblink('postgres://admin:hunter2secret@db/x')"), (Kind.SECRET, f"header: Bearer {WEB_TOKEN}"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), TEXTS, ids=lambda part: str(part)[:25])
def test_personal_data_inside_a_text_is_found(kind: Kind, text: str) -> None:
    """Personal data is found between other words of comments, defaults and function bodies."""
    assert kind in recognise_in_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id, count(*) FROM users WHERE created_at > now() - interval '30 days' GROUP BY 1",
        "nextval('users_id_seq'::regclass)",
        "Grades run from 1 to 5; see the manual, chapter 12.",
        "RAISE EXCEPTION 'error 20240131 in step 0815';",
        "Version 1.2.3.4 of 2024-01-31",
    ],
)
def test_ordinary_definitions_have_no_finding(text: str) -> None:
    """SQL, versions and dates are not findings."""
    assert recognise_in_text(text) == set()


def test_an_iban_is_one_finding() -> None:
    """The digits of an IBAN are not reported as a phone number as well."""
    assert recognise_in_text("Konto DE89 3704 0044 0532 0130 00 bitte") == {Kind.IBAN}


NAMES = [
    (Kind.EMAIL, "users", "email"), (Kind.EMAIL, "users", "eMailAdresse"), (Kind.EMAIL, "messages", "sender_email"),
    (Kind.FIRST_NAME, "users", "vorname"), (Kind.FIRST_NAME, "users", "firstName"), (Kind.LAST_NAME, "u", "Nachname"),
    (Kind.LAST_NAME, "u", "family_name"), (Kind.FULL_NAME, "students", "name"), (Kind.FULL_NAME, "x", "sender_name"),
    (Kind.FULL_NAME, "x", "Ansprechpartner"), (Kind.FULL_NAME, "x", "created_by"), (Kind.USERNAME, "x", "user_name"),
    (Kind.USERNAME, "x", "Kürzel"), (Kind.STREET, "x", "Straße"), (Kind.STREET, "x", "hausnr"), (Kind.CITY, "x", "Wohnort"),
    (Kind.POSTCODE, "x", "plz"), (Kind.POSTCODE, "x", "postal_code"), (Kind.PHONE, "x", "telefonNr"),
    (Kind.PHONE, "x", "handy"), (Kind.PHONE, "x", "MobilNummer"), (Kind.IBAN, "x", "payer_iban"), (Kind.BANK, "x", "kontonummer"),
    (Kind.BIRTH_DATE, "x", "geburtsDatum"), (Kind.BIRTH_DATE, "x", "date_of_birth"), (Kind.PASSWORD, "x", "passwort"),
    (Kind.PASSWORD, "x", "password_hash"), (Kind.SECRET, "x", "remember_token"), (Kind.SECRET, "x", "totp_seed"),
    (Kind.SECRET, "x", "email_sha256"), (Kind.NATIONAL_ID, "x", "svnr"), (Kind.NATIONAL_ID, "x", "Steuernummer"),
    (Kind.SPECIAL, "x", "religion"), (Kind.SPECIAL, "x", "gesundheitsdaten"), (Kind.GENDER, "x", "Geschlecht"),
    (Kind.SPECIAL, "x", "blood_type"), (Kind.SPECIAL, "x", "disability_status"),
    (Kind.TRAIT, "x", "staatsangehoerigkeit"), (Kind.IP, "x", "last_login_ip"), (Kind.URL, "x", "avatar_url"),
    (Kind.FREE_TEXT, "x", "bemerkung"), (Kind.FREE_TEXT, "x", "body_html"), (Kind.FREE_TEXT, "messages", "subject"),
    (Kind.FREE_TEXT, "ImportExportAudit", "ErrorMessage"), (Kind.DEVICE, "x", "user_agent"), (Kind.LOCATION, "x", "latitude"),
    (Kind.ATTACHMENT, "x", "photo"), (Kind.SIZE, "x", "size_bytes"), (Kind.CHECKSUM, "x", "sha256"),
    (Kind.MIME_TYPE, "x", "mime_type"), (Kind.FILE_NAME, "x", "fileName"),
    (None, "classes", "name"), (None, "lessons", "subject"), (None, "users", "email_verified"), (None, "x", "phone_type"),
    (None, "x", "author_id"), (None, "x", "created_at"), (None, "x", "amount"), (None, "users", "state"), (None, "x", "id"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "table", "column"), NAMES, ids=str)
def test_a_name_is_recognised(kind: Kind | None, table: str, column: str) -> None:
    """English and German names identify the content of a column, depending on the table."""
    assert recognise_name(table, column, None) is kind


def test_a_comment_is_read_if_the_name_shows_nothing() -> None:
    """`c17` with a comment about e-mail is an e-mail address; a comment never overrides a name."""
    assert recognise_name("x", "c17", "E-Mail-Adresse der Eltern") is Kind.EMAIL
    assert recognise_name("x", "c17", "Größe in Byte") is None
    assert recognise_name("x", "vorname", "E-Mail-Adresse der Eltern") is Kind.FIRST_NAME


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("geburtsDatum", "_geburts_datum_"),
        ("E-Mail", "_e_mail_"),
        ("HTMLBody", "_html_body_"),
        ("Straße", "_strasse_"),
        ("", "__"),
    ],
)
def test_spelling(name: str, spelled: str) -> None:
    """All ways to write a compound have one spelling."""
    assert spelling(name) == spelled


SHAPES = {
    Kind.EMAIL: values.EMAIL, Kind.PASSWORD: values.CRYPT, Kind.SECRET: values.ISSUED, Kind.UUID: values.UUID,
    Kind.CHECKSUM: values.HEX, Kind.URL: values.URL, Kind.POSTCODE: values.POSTCODE, Kind.BIRTH_DATE: values.DATE,
    Kind.PHONE: values.PHONE, Kind.ADDRESS: values.PLACE, Kind.STREET: values.STREET,
}  # fmt: skip


@pytest.mark.parametrize("kind", SHAPES)
@settings(max_examples=40)
@given(st.data())
def test_the_prefilter_of_a_value_excludes_no_match(kind: Kind, data: st.DataObject) -> None:
    """A value that a pattern matches is recognised, although length and characters decide which patterns are tried."""
    value = data.draw(st.from_regex(SHAPES[kind], fullmatch=True))
    if SHAPES[kind].fullmatch(value.strip()):
        assert kind in recognise_value(value)


INSIDE = {Kind.EMAIL: values.EMAIL, Kind.PASSWORD: values.CRYPT, Kind.SECRET: values.ISSUED}


@pytest.mark.parametrize("kind", INSIDE)
@settings(max_examples=40)
@given(st.data())
def test_the_prefilter_of_a_text_excludes_no_match(kind: Kind, data: st.DataObject) -> None:
    """The same holds for a value between other words."""
    text = f"siehe {data.draw(st.from_regex(INSIDE[kind], fullmatch=True))} bitte"
    if INSIDE[kind].search(text):
        assert kind in recognise_in_text(text)
