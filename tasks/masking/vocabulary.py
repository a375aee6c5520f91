"""The words by which a column's name gives away what it holds, in English and German; and the kinds they stand for.

Rules read a *spelling*: the name in lower case, umlauts written out, its words joined and surrounded by `_`
(`geburtsDatum` → `_geburts_datum_`). The first rule that matches wins, so the narrower ones stand first.
"""

import re
from enum import StrEnum


class Kind(StrEnum):
    """What a value or a column looks like. The value is the phrase that people read in a draft or a report."""

    EMAIL = "an e-mail address"
    FIRST_NAME = "a first name"
    LAST_NAME = "a last name"
    FULL_NAME = "a person's name"
    USERNAME = "a login name"
    COMPANY = "a company or employer"
    STREET = "a street address"
    POSTCODE = "a postcode"
    CITY = "a place of residence"
    ADDRESS = "a postal address"
    PHONE = "a phone number"
    IBAN = "an IBAN"
    BANK = "bank details"
    CARD = "a payment card number"
    BIRTH_DATE = "a date of birth"
    NATIONAL_ID = "a national, tax or insurance number"
    PASSWORD = "a password or its hash"  # noqa: S105  # a phrase for people
    SECRET = "a token, key or other secret"  # noqa: S105  # a phrase for people
    IP = "an IP address"
    URL = "a web address"
    UUID = "a UUID"
    FREE_TEXT = "free text"
    DEVICE = "the mark of a device or browser"
    LOCATION = "a position on the map"
    GENDER = "a gender or salutation"
    SPECIAL = "a special category of personal data (GDPR Art. 9, 10)"
    TRAIT = "a personal trait or circumstance"
    ATTACHMENT = "an attachment or image"
    CHECKSUM = "a checksum"
    SIZE = "a stored size"
    MIME_TYPE = "a MIME type"
    FILE_NAME = "a file name"
    TECHNICAL = "a technical attribute"


_PERSON = (
    "user|benutzer|nutzer|person|people|student|schueler|pupil|teacher|lehrer|lehrkraft|parent|eltern|mother|mutter|father|"
    "vater|guardian|erziehungs|vormund|customer|kunde|client|contact|kontakt|employee|mitarbeiter|angestellt|member|"
    "mitglied|patient|staff|child|kinder|author|autor|recipient|empfaenger|sender|absender|applicant|bewerber|"
    "participant|teilnehmer|subscriber|owner|inhaber|manager|leiter|doctor|arzt|ansprechpartner|signer"
)
PEOPLE = re.compile(_PERSON + r"|_accounts?_|profile|adress|contacts|leads?_")
# Tables of terms rather than people: their names and codes are the application's own words.
TERMS = re.compile(
    r"role|rolle|class|klasse|subject|faech|fach_|room|raum|raeume|countr|laender|categor|kategorie|permission|"
    r"berechtigung|_tags?_|status|_types?_|_typen_|language|sprache|currenc|waehrung|grade|stufe|schuljahr|department|"
    r"abteilung|setting|config|einstellung|product|produkt|feature|plan_|template|vorlage"
)
WRITINGS = re.compile(
    r"messag|nachricht|mail|letter|brief|post|ticket|comment|event|termin|calend|kalender|note|thread"
)

_WRITTEN = (
    r"_bod(y|ies)_|_text|text_|message|nachricht|_content|inhalt|comment|kommentar|remark|bemerk|anmerk|notiz|_notes?_|"
    r"descri|beschreib|html|betreff|_about_|_bio|biograph|feedback|reason|begruend|details?_|summary|zusammenfassung|"
    r"stack_?trace|_log_|payload|antwort|answer|_frage_|question|greeting|signatur|headline|_memo_|review|rezension|"
    r"observation|beobachtung|error|fehler|purpose|_zweck|verwendung|_references?_|referenz_|transcript|keywords?_|search_|suche"
)
_SPECIAL = (
    r"religio|konfession|denominat|ethnic|ethni|_race_|political|politisch|partei_|sexual|health|gesundheit|krank|disease|"
    r"diagnos|allerg|medic|medik|disab|behinder|blood|blut|pregnan|schwanger|union_member|gewerkschaft|genetic|biometri|"
    r"fingerprint|criminal|straf|vaccin|impf|therap|foerderbedarf|special_needs|sonderpaed"
)

# What is said *about* a thing is not the thing: `email_verified`, `phone_type`. Only where the type allows doubt (text).
ABOUT = re.compile(
    r"(?<!_mime)(?<!_content)(?<!_media)(?<!_blood)(?<!_disability)(?<!_diagnosis)"
    r"_(verified|confirmed|enabled|visible|count|anzahl|types?|typ|status|state|format|language|locale|provider|template|"
    r"opt_in|public|required|version|algorithm|algo|method|priority)_$"
)
HASHED = re.compile(r"_(hash|digest|md5|sha\d*|hmac)_$")

_RULES: tuple[tuple[Kind, str], ...] = (
    (Kind.MIME_TYPE, r"mime|content_type|media_type|medientyp"),
    (Kind.FILE_NAME, r"file_?name|datei_?name|original_name|file_?ext"),
    (Kind.SECRET, r"_tokens?_"),  # before PASSWORD: `reset_password_token`
    (Kind.PASSWORD, r"passw|pass_?wd|_pwd|_pw_|kennwort|pass_?phrase|crypt_hash"),
    (
        Kind.SECRET,
        r"secret|token|api_?key|private_?key|access_?key|auth_?key|credential|totp|_otp|two_factor|2fa|_mfa|"
        r"recovery_?code|backup_?codes?|reset_?code|activation|session_?(id|key|data)|cookie|csrf|_nonce|"
        r"_salt_|_pin_|_tan_|geheim|schluessel|webhook|signing|verification_?code|invite_?code|"
        r"einladungs_?code",
    ),
    (Kind.EMAIL, r"e_?mail|_mail_|mail_?(address|adress)|mailbox|_bcc_|_cc_"),
    (Kind.IBAN, r"iban"),
    (Kind.CARD, r"card_?(number|no|num)|credit_?card|kredit_?karte|karten_?nummer|_pan_|_cvv|_cvc"),
    (
        Kind.BANK,
        r"_bic_|swift|bank_?(account|name|code|verbindung|daten)|konto_?(nr|nummer)|account_?(number|no)_|blz|"
        r"bankleit|sepa|mandat",
    ),
    (
        Kind.NATIONAL_ID,
        r"_ssn_|_svn|sv_?nr|sv_?nummer|sozialvers|social_?sec|insurance_?(no|num)|versicherungs_?(nr|nummer)|"
        r"national_?id|tax_?(id|no|num)|steuer_?(id|nr|nummer|ident)|_tin_|_uid_?nr|vat_?(id|no|num)|_ust|ahv|"
        r"passport|reisepass|ausweis|identity_?card|id_?card|driv\w*_?licen|fuehrerschein|matrikel|"
        r"schueler_?(nr|nummer|kennzahl)|student_?(no|num)|personal_?(nr|nummer)|employee_?(no|num)|_bpk_|"
        r"kennzeichen|license_?plate|sokrates|e_card|krankenkasse",
    ),
    (
        Kind.BIRTH_DATE,
        r"birth_?(date|day|year)|date_?of_?birth|_dob_|_born|geburts_?(datum|tag|jahr)|_geb_?dat|_geb_|"
        r"geboren|death|sterbe|verstorben",
    ),
    (
        Kind.TRAIT,
        r"geburts_?ort|birth_?place|place_?of_?birth|nationalit|staatsang|citizen|staatsbuerger|marital|"
        r"familienstand|famil_?stand|civil_?status|_age_|_alter_|salary|gehalt|income|einkommen|_lohn_|_wage|"
        r"profession|beruf|occupation|job_?title|mother_?tongue|muttersprache|erstsprache|native_?lang|hobb|"
        r"weight_?kg|_gewicht_|body_?height|koerpergroesse|_bonit|credit_?score|_noten?_|_grade_|zeugnis|"
        r"zensur|beurteilung",
    ),
    (Kind.SPECIAL, _SPECIAL),
    (Kind.GENDER, r"gender|geschlecht|_sex_|salutation|anrede|pronoun"),
    (
        Kind.USERNAME,
        r"user_?name|benutzer_?name|nutzer_?name|log_?in_?name|_login_$|anmelde_?name|nick_?name|screen_?name|"
        r"spitzname|_handle_|kuerzel|initials|twitter|instagram|facebook|linked_?in|telegram|skype|discord|"
        r"github|whats_?app|_ldap|user_?principal|account_?name",
    ),
    (
        Kind.FIRST_NAME,
        r"vor_?namen?_|first_?names?_|given_?names?_|fore_?name|ruf_?name|middle_?name|_f_?name_|zweitname",
    ),
    (
        Kind.LAST_NAME,
        r"nach_?name|last_?name|family_?name|familien_?name|sur_?name|zu_?name|maiden|geburts_?name|_l_?name_|"
        r"second_?name",
    ),
    (Kind.COMPANY, r"company|(?<!con)firma|firmen_?name|employer|arbeitgeber|organi[sz]ation_?name|betrieb"),
    (
        Kind.FULL_NAME,
        r"full_?name|display_?name|anzeige_?name|voller_?name|ansprechpartner|kontoinhaber|card_?holder|"
        rf"account_?holder|(_|^)({_PERSON})\w*_name|"
        r"_\w+(ed|en|read)_by_|_read_by_|unterzeichn|"
        r"_reporter_|bearbeiter|ersteller|verfasser|sachbearbeiter|emergency_?contact|notfall_?kontakt|"
        r"klassenvorstand|_absender_|_empfaenger_|_author_|_autor_|_owner_",
    ),
    (
        Kind.PHONE,
        r"phone|telefon|_tele?_|_tel|mobile?_|mobil_?(nr|num|tel)|handy|_fax|hotline|_msisdn|rufnummer|durchwahl|"
        r"_sms_|call_?er_?id",
    ),
    (Kind.DEVICE, r"user_?agent|browser|device|geraet|_imei|_mac_|mac_?addr|push_?id|advertis\w*_id"),
    (Kind.IP, r"_ip_|ip_?addr|ip_?adress|remote_?(addr|ip|host)|client_?(addr|ip)|_ipv?[46]_|host_?ip"),
    (
        Kind.LOCATION,
        r"_lat_|_lng_|_lon_|latitude|longitude|breitengrad|laengengrad|geo_?(loc|point|hash|m)|coordinat|"
        r"koordinat|_gps",
    ),
    (
        Kind.STREET,
        r"stre?et|strasse|_str_|haus_?n(r|um)|house_?n(o|um)|address_?(line|zeile)?_?[1-3]_|_adr_|_gasse|"
        r"_stiege|_tuer_?(nr|nummer)?_",
    ),
    (Kind.POSTCODE, r"post_?code|postal|postleit|_plz|zip_?code|_zip_"),
    (
        Kind.CITY,
        r"_city|_stadt_|wohn_?ort|_ort_|ortschaft|_town_|municipal|gemeinde|village|residence|_bezirk_|"
        r"_district_|_suburb",
    ),
    (Kind.ADDRESS, r"address|adresse|anschrift"),
    (Kind.CHECKSUM, r"checksum|pruefsumme|_sha_?\d+|_md5|_digest_|_etag_|_crc|file_?hash|content_?hash"),
    (Kind.URL, r"_ur[il]_|_ur[il]s_|\w+url_|website|webseite|home_?page|_link_|_links_|_href_|referr?er"),
    (
        Kind.ATTACHMENT,
        r"photo|foto|_avatar_|_picture|_image|_bild_|_portrait|attachment_?(data|content|bytes)|"
        r"anhang_?(daten|inhalt)|file_?(data|content|bytes)|datei_?(inhalt|daten)|_blob|_binary|thumbnail|"
        r"unterschrift|_scan_|document_?(data|content)",
    ),
    (
        Kind.SIZE,
        r"(file|content|datei|attachment)_?(size|groesse|length)|size_?(in_?)?bytes|_bytes_|"
        r"byte_?(size|count)|_(size|groesse)_",
    ),
)
NAME_RULES = tuple((kind, re.compile(words)) for kind, words in _RULES)
TEXT_RULE = re.compile(_WRITTEN)

# Words of columns that describe the record, not a person. They decide only where nothing above matched and no sampled value
# looks personal.
TECHNICAL_TEXT = re.compile(
    r"status|_state_|_types?_|_typ_|_kind_|_art_|categor|kategorie|locale|_lang|sprache|currency|waehrung|time_?zone|zeitzone|"
    r"format|colou?r|farbe|_icon|_slug|_roles?_|rolle|_level|stufe|_unit|einheit|version|_method|priorit|encoding|extension|"
    r"_country|_land_|_room_|_raum_|_sort|_order_|_direction|_scope|_channel|_queue|_event_type|_action_|_aktion_|algorithm|"
    r"_mode_|modus|_key_|_code_|_table_name|_weekday|wochentag|semester|schuljahr|school_?year"
)
TECHNICAL_NUMBER = re.compile(
    r"count|anzahl|amount|betrag|total|summe|sum_|price|preis|_tax|steuersatz|_rate_|position|_sort|_order_|_rank|index|"
    r"version|_size|groesse|_bytes|length|laenge|_year_|jahr|month|monat|_week|woche|_day_|hour|stunde|minute|seconds|"
    r"duration|dauer|quantity|menge|priorit|_level|stufe|percent|prozent|_port_|attempt|retr|limit|_max|_min|capacity|"
    r"kapazit|_status|_type|_flags?_|_width|_height_|_page|_seq|_number_of|_room_|_raum_|factor|faktor|_ratio|_no_of|_lock_version|discount|rabatt|balance|saldo"
)
# A number with such a word is a measure, a limit or a state, whatever it is a measure of.
MEASURE = re.compile(
    r"_(max|min|num|count|counts|counter|limit|limits|size|length|lifetime|interval|period|timeout|attempts?|retries|retry|"
    r"seconds|minutes|hours|days|weeks|months|ms|bytes|level|version|status|state|type|mode|order|position|rank|score|"
    r"threshold|total|percentage|percent|ratio|access|access_level|index|iid|number_of|per)_|_count|anzahl"
)
LIMIT = re.compile(r"_(max|min|limit|quota|allowed)")
# A number that identifies somebody in another service.
FOREIGN_ID = re.compile(
    r"extern|remote|foreign|third_party|provider|facebook|twitter|telegram|google|github|discord|slack|apple|ldap|sso|oauth|_uid_"
)
WATCHED = re.compile(
    r"last_?(log_?in|seen|active|activity|access|sign_?in|visit)|letzte[rs]?_?(anmeldung|login|zugriff)"
)
TECHNICAL_TIME = re.compile(
    r"_at_$|_on_$|created|updated|modified|deleted|changed|erstellt|geaendert|geloescht|expire|ablauf|valid|gueltig|"
    r"start|beginn?_|_ends?_|_ende_|_due|faellig|_sent|gesendet|publish|veroeff|_read|gelesen|_since_|_seit_|_until_|_bis_|"
    r"_von_|_from_|_to_|received|empfangen|period|zeitraum|scheduled|geplant|timestamp|zeitstempel|invoice_?date|"
    r"rechnungsdatum|issued|paid|bezahlt|finished|completed|during|slot|duration|dauer|_last_"
)

# Tables that staging never needs rows of, or whose rows belong to the installation itself.
DROPPED = re.compile(
    r"session|sitzung|(access|refresh|reset|auth|api|oauth|remember|device|csrf|verification|invitation|push)_?tokens?_|_tokens_|"
    r"password_?resets?|mail_?queue|sms_?queue|outbox|(failed_|queued_)?jobs_|job_?queue|webhook_?(deliver|call|event)|_cache_?(entries)?_$|"
    r"login_?(attempt|failure)|api_?keys?_|push_?subscription|one_?time_?password"
)
EXCLUDED = re.compile(
    r"import_export_audit|schema_?migrations?|flyway_schema|alembic_version|migrations?_history|django_migrations|"
    r"_migrations_$|ar_internal_metadata|databasechangelog"
)
