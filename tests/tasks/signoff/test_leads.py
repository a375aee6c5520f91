"""Leads: the reviewed file of people who may answer, and the file of their secrets, which only the worker can read."""

import stat
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tasks.estate.errors import Misconfigured
from tasks.signoff.enrolment import enrol
from tasks.signoff.leads import Lead, LeadKey, Leads, load_leads
from tasks.signoff.proofs import new_key
from tests.passkey_device import Device

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
ROOT = Path(__file__).parents[3]


def public(key: Any) -> str:
    """Return the key's line in a `.pub` file."""
    line: bytes = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return line.decode()


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """The paths of the leads file and the codes file, which do not exist yet."""
    return tmp_path / "leads.yaml", tmp_path / "secret" / "codes.yaml"


def write(files: tuple[Path, Path], leads: str, codes: str = "", *, mode: int = 0o600) -> tuple[Path, Path]:
    """Write both files, and return their paths."""
    files[0].write_text(leads)
    if codes:
        files[1].parent.mkdir()
        files[1].write_text(codes)
        files[1].chmod(mode)
    return files


ANNA = "- {name: Anna Lead, email: anna@x.example}\n"


def test_a_lead_is_found_however_the_name_is_typed() -> None:
    """Case, surplus spaces and the encoding of accents do not matter."""
    leads = Leads([Lead(name="Zoë Straße", email="z@x.example")])
    for typed in ("Zoë Straße", "  zoë   strasse ", "ZOE\u0308 STRASSE", "zoë\tstraße"):
        assert leads.find(typed) is not None, typed
    assert leads.find("Zoe Strasse") is None
    assert leads.find("") is None


def test_suspended_and_unknown_names_have_different_reasons() -> None:
    """Neither may answer, and the reason names no other lead."""
    leads = Leads(
        [Lead(name="Anna Lead", email="a@x.example"), Lead(name="Ben Lead", email="b@x.example", suspended=True)]
    )
    assert leads.find("ben lead") is None
    assert "Ben Lead is suspended" in leads.why_not("ben lead")
    assert "Nobody is enrolled" in leads.why_not("Eve")
    assert not any(name in leads.why_not("Eve") for name in ("Anna", "Ben"))
    assert leads.why_not("Anna Lead") == ""
    assert leads.names == ("Anna Lead",)
    assert [lead.name for lead in leads.everybody] == ["Anna Lead", "Ben Lead"]


def test_a_suspension_from_the_ledger_has_its_reason() -> None:
    """The lead may not answer but keeps entry and codes; unknown names are ignored; the original object is unchanged."""
    everybody = [Lead(name=name, email=f"{name[0]}@x.example") for name in ("Anna Lead", "Ben Lead")]
    leads = Leads(everybody, {"Ben Lead": SECRET})
    fewer = leads.without({"ben  LEAD": "has left", "Eve": "is nobody"})
    assert fewer.find("Ben Lead") is None
    assert fewer.why_not("ben lead") == "Ben Lead has left and is suspended for it; another lead must answer."
    assert fewer.why_not("Anna Lead") == ""
    assert fewer.names == ("Anna Lead",)
    assert [fewer.secret(lead) for lead in fewer.everybody] == [None, SECRET]
    assert leads.names == ("Anna Lead", "Ben Lead")


def test_both_files_are_read(files: tuple[Path, Path]) -> None:
    """Keys come from the leads file, secrets from the codes file."""
    key = new_key()[1]
    text = f"- name: Anna Lead\n  email: anna@x.example\n  keys:\n  - key: {key} anna@laptop\n    valid_before: 2027-01-01\n"
    leads = load_leads(*write(files, text, f"anna lead: {SECRET}\n"))
    anna = leads.find("Anna Lead")
    assert anna is not None
    assert anna.keys[0].key == f"{key} anna@laptop"
    assert anna.keys[0].kind == "ssh-ed25519"
    assert leads.secret(anna) == SECRET


def test_without_files_nobody_may_answer(files: tuple[Path, Path]) -> None:
    """If the files do not exist, there are no leads and no codes."""
    assert load_leads(*files).names == ()


def test_the_shipped_leads_file_is_valid_and_empty() -> None:
    """Nobody may approve until somebody is enrolled; the example in its comment is a valid entry."""
    path = ROOT / "deployments" / "leads.yaml"
    assert load_leads(path, path.with_name("none")).names == ()
    example = [line.removeprefix("# ") for line in path.read_text().splitlines() if line[:3] in ("# -", "#  ")]
    entry = yaml.safe_load("\n".join(line.removeprefix("#") for line in example))[0]
    entry["keys"][0]["key"] = new_key()[1]
    entry["passkeys"][0] |= {name: Device("a phone").fields[name] for name in ("credential", "public_key")}
    assert Lead.model_validate(entry).name == "Anna Lead"


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521"])
def test_usual_keys_are_accepted(kind: str) -> None:
    """Ed25519, RSA and ECDSA keys are accepted."""
    made: dict[str, str] = {
        "ssh-ed25519": new_key()[1],
        "ssh-rsa": public(rsa.generate_private_key(65537, 2048)),
        "ecdsa-sha2-nistp256": public(ec.generate_private_key(ec.SECP256R1())),
        "ecdsa-sha2-nistp521": public(ec.generate_private_key(ec.SECP521R1())),
    }
    assert LeadKey(key=made[kind]).kind == kind


@pytest.mark.parametrize(
    ("leads", "codes", "named"),
    [
        ("- {name: Anna Lead}", "", r"Entry 1 of .*leads.yaml is not a lead: email: Field required"),
        ("- {name: Anna Lead, email: anna}", "", "Entry 1 .*email: "),
        ("- {name: 'Anna  Lead', email: a@x}", "", "name: expected one line without surplus spaces"),
        ("- {name: Anna Lead, email: a@x, keys: [{key: AAAA}]}", "", r"keys\.0\.key: expected the line of a .pub file"),
        ("- {name: Anna Lead, email: a@x, keys: [{key: ssh-ed25519 AAAA}]}", "", "not a whole ssh-ed25519 public key"),
        ("- {name: Anna Lead, email: a@x, keys: [{key: ssh-dss AAAA}]}", "", "one of ssh-ed25519, ssh-rsa"),
        (ANNA + "- {name: anna LEAD, email: b@x}", "", "leads.yaml .*Two leads have the name 'anna LEAD'"),
        (ANNA, f"Eve: {SECRET}", "'Eve' has a secret for codes and is not a lead"),
        (ANNA, f"Anna Lead: {SECRET}\nanna lead: {SECRET}", "two secrets"),
        (ANNA, f"Anna Lead: {SECRET}\nAnna Lead: {SECRET}", "a key occurs twice"),
        (ANNA, "Anna Lead: GEZDGNBVGY3TQOJQ", "Entry 1 of .*codes.yaml is not a name and a base32 secret"),
        (ANNA, "Anna Lead: " + "A" * 27, "Entry 1 of .*codes.yaml"),
        (ANNA, "Anna Lead: 12345678901234567890123456", "Entry 1 of .*codes.yaml"),
        (ANNA, "- 1", "contains a list; expected one line per lead"),
        (ANNA, "{", "codes.yaml is not valid YAML"),
    ],
)
def test_a_mistake_in_a_file_is_reported(leads: str, codes: str, named: str, files: tuple[Path, Path]) -> None:
    """The error names the file, the entry and what is wrong, and contains no secret."""
    write(files, leads, codes)
    with pytest.raises(Misconfigured, match=named) as caught:
        load_leads(*files)
    assert SECRET not in caught.value.message


def test_a_short_rsa_key_is_refused() -> None:
    """A key of 1024 bits can be broken."""
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505  # that is what is tested
    with pytest.raises(ValueError, match="1024 bits is too short"):
        LeadKey(key=public(short))


@pytest.mark.parametrize("owner", ["Anna Lead", "Ben Lead"])
def test_a_key_may_occur_once(owner: str) -> None:
    """A key of two people identifies neither; another comment does not make another key."""
    key = new_key()[1]
    leads = [Lead(name="Anna Lead", email="a@x", keys=(key,)), Lead(name="Ben Lead", email="b@x")]
    again = [
        lead.model_copy(update={"keys": (*lead.keys, LeadKey(key=f"{key} other"))}) if lead.name == owner else lead
        for lead in leads
    ]
    with pytest.raises(Misconfigured, match=f"A key of '{owner}' occurs twice; it is also listed for 'Anna Lead'"):
        Leads(again)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o644])
def test_a_codes_file_that_others_can_access_is_refused(mode: int, files: tuple[Path, Path]) -> None:
    """The next step contains the command that corrects the permissions."""
    write(files, ANNA, f"Anna Lead: {SECRET}", mode=mode)
    with pytest.raises(Misconfigured, match=f"mode {mode:04o}") as caught:
        load_leads(*files)
    assert f"chmod 600 {files[1]}" in caught.value.next_step
    files[1].chmod(0o400)
    assert load_leads(*files).names == ("Anna Lead",)


def test_enrolling_adds_a_lead_with_codes(files: tuple[Path, Path]) -> None:
    """Both files are written, the secrets readable only by the owner, and the URI is one that a phone accepts."""
    made = enrol(*files, name="  Anna   Lead ", email="anna@x.example", key=new_key()[1])
    leads = load_leads(*files)
    assert leads.everybody == (made.lead,)
    assert leads.secret(made.lead) == made.secret
    assert stat.S_IMODE(files[1].stat().st_mode) == 0o600
    assert stat.S_IMODE(files[1].parent.stat().st_mode) == 0o700
    assert made.secret not in files[0].read_text()
    address = urlsplit(made.uri)
    assert (address.scheme, address.netloc, address.path) == ("otpauth", "totp", "/Understudy:anna%40x.example")
    assert parse_qs(address.query) == {"secret": [made.secret], "issuer": ["Understudy"]}
    assert pyotp.parse_uri(made.uri).secret == made.secret


def test_enrolling_again_replaces_the_secret_and_adds_the_key(files: tuple[Path, Path]) -> None:
    """A known key is not added again, and other leads are unchanged."""
    one, two = new_key()[1], new_key()[1]
    first = enrol(*files, name="Anna Lead", email="anna@x.example", key=one)
    ben = enrol(*files, name="Ben Lead", email="ben@x.example")
    second = enrol(*files, name="ANNA LEAD", email="Anna@x.example", key=two)
    third = enrol(*files, name="Anna Lead", email="anna@x.example", key=f"{one} again", codes=False)
    leads = load_leads(*files)
    assert [lead.name for lead in leads.everybody] == ["Anna Lead", "Ben Lead"]
    assert [key.key for key in leads.everybody[0].keys] == [one, two]
    assert first.secret != second.secret == leads.secret(third.lead)
    assert (third.secret, third.uri) == ("", "")
    assert leads.secret(ben.lead) == ben.secret


def test_enrolling_keeps_the_rest_of_the_file(files: tuple[Path, Path]) -> None:
    """The comment at its head, a suspension and the last day of a key are kept."""
    head = "# Leads. Changed under review.\n\n"
    entry = f"- name: Ben Lead\n  email: b@x\n  suspended: true\n  keys: [{{key: {new_key()[1]}, valid_before: 2027-01-01}}]\n"
    write(files, head + entry)
    before = load_leads(*files).everybody
    enrol(*files, name="Ben Lead", email="b@x")
    assert files[0].read_text().startswith(head)
    assert load_leads(*files).everybody == before
    assert load_leads(*files).find("Ben Lead") is None


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": "Anna Lead", "email": "other@x"}, "enrolled with another e-mail"),
        ({"name": "Al", "email": "al@x"}, "name: "),
        ({"name": "Ben Lead", "email": "ben"}, "email: "),
        ({"name": "Ben Lead", "email": "ben@x", "key": "ssh-ed25519 nonsense"}, "key: "),
        ({"name": "Ben Lead", "email": "ben@x", "key": "anna's"}, "A key of 'Ben Lead' occurs twice"),
    ],
)
def test_a_refused_enrolment_changes_nothing(fields: dict[str, Any], named: str, files: tuple[Path, Path]) -> None:
    """An entry that would make a file wrong, or that may be another person's, is refused before anything is written."""
    made = enrol(*files, name="Anna Lead", email="anna@x.example", key=new_key()[1])
    before = [file.read_bytes() for file in files]
    if fields.get("key") == "anna's":
        fields = fields | {"key": made.lead.keys[0].key}
    with pytest.raises(Misconfigured, match=named):
        enrol(*files, **fields)
    assert [file.read_bytes() for file in files] == before


def test_files_are_replaced_atomically(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A reader sees the old file or the new one, a link stays a link, and no temporary file is left."""
    enrol(*files, name="Anna Lead", email="a@x")
    kept = files[1].rename(tmp_path / "kept.yaml")
    files[1].symlink_to(kept)
    before, opened = kept.stat().st_ino, kept.open()
    with opened:
        enrol(*files, name="Ben Lead", email="b@x")
        assert "Ben" not in opened.read()
    assert files[1].is_symlink()
    assert kept.stat().st_ino != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.yaml", "leads.yaml", "secret"]
