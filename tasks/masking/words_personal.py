"""Words in the names of columns and tables that identify personal data, in English and German, and the kinds of data.

The first rule that matches applies, so that narrower rules come first. `tasks.masking.words_technical` defines the spelling
that the rules read.
"""

import re
from enum import StrEnum

from tasks.masking.words_technical import words


class Kind(StrEnum):
    """A kind of data that a value or a column looks like. Its value is the phrase in drafts and reports."""

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
    FOREIGN = "an identifier in another service"
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


_PERSON = r"""
    user|benutzer|nutzer|person|people|student|schueler|pupil|teacher|lehrer|lehrkraft|parent|eltern|mother|mutter|father|vater|
    guardian|erziehungs|vormund|customer|kunde|client|contact|kontakt|employee|mitarbeiter|angestellt|member|mitglied|patient|
    staff|child|kinder|author|autor|recipient|empfaenger|sender|absender|applicant|bewerber|participant|teilnehmer|subscriber|
    owner|inhaber|manager|leiter|doctor|arzt|ansprechpartner|signer|attendee|invitee|guest|gast_|gaeste|visitor|besucher|
    passenger|tenant_name|mieter|buyer|kaeufer|seller|driver|fahrer|player|spieler|donor|spender|candidate|kandidat|organi[sz]er|
    beneficiar|trainee|instructor|trainer|coach|nurse|physician|witness|zeuge
"""
PEOPLE = words(_PERSON + r"|_accounts?_|profile|adress|contacts|leads?_")
WRITINGS = words(r"""
    messag|nachricht|mail|letter|brief|post|ticket|comment|event|termin|calend|kalender|note|thread|issue|snippet|booking|buchung|
    appointment|meeting|presets?_|warning|discussion|batchcom
""")

_WRITTEN = r"""
    _bod(y|ies)_|_te?xt|(?<!con)text_|message|_msg_|nachricht|_content|inhalt|comment|kommentar|remark|bemerk|anmerk|notiz|
    notes?_|descri|_descr_|beschreib|html|betreff|_about_|_bio|biograph|feedback|reason|begruend|details?_|summary|
    zusammenfassung|stack_?trace|_log_|payload|antwort|answer|_frage_|question|greeting|signatur|headline|_memo_|review|rezension|
    observation|beobachtung|error|fehler|purpose|_zweck|instruct|anweisung|dictation|diktat|hashtag|_trace_|_diff_|poll_options|
    _info_|_?information_|extra_?info|verwendung|_references?_|referenz_|transcript|keywords?_|search_|suche
"""
_SPECIAL = r"""
    religio|konfession|denominat|ethnic|ethni|_race_|political|politisch|partei_|sexual|health|gesundheit|krank|disease|diagnos|
    _bmi_|heart_?rate|_pulse?_|glucose|blutdruck|cholester|_onset|symptom|allerg|medic|medik|disab|behinder|blood|blut|pregnan|
    schwanger|union_member|gewerkschaft|genetic|biometri|fingerprint|criminal|straf|vaccin|impf|therap|foerderbedarf|
    special_needs|sonderpaed
"""

# A property of a thing is not the thing: `email_verified`, `phone_type`.
ABOUT = words(r"""
    (?<!_mime)(?<!_content)(?<!_media)(?<!_blood)(?<!_disability)(?<!_diagnosis)(?<!_leave)(?<!_absence)(?<!_remote)(?<!_client)_(verified|
    confirmed|enabled|visible|count|anzahl|types?|typ|status|state|format|language|locale|provider|template|opt_in|public|
    required|version|algorithm|algo|method|priority|templates|languages|server|host|port|error_code|(verified|confirmed|
    checked)_(at|on))_$
""")
HASHED = re.compile(r"_(hash|digest|md5|sha\d*|hmac)_$")

# Words before `key` with which it names an entry or a row and is not a secret.
_NAMING = r"""
    primary|foreign|sort|cache|attribute|translation|unique|partition|object|lookup|short|soft|setting|option|config|i18n|message|
    label|locale|group|field|feature|param|meta|index|public|natural|surrogate|storage|s3|file|row|shard|routing|item|parent|
    product|array|tax|answer|string|map|metric|property|order|lock|plugin|template|category|type|menu|banner|event|composite|
    business|alternate|sub|entity|record|table|column|data|json|language|lang|status|queue
"""

_RULES: tuple[tuple[Kind, str], ...] = (
    (Kind.MIME_TYPE, r"mime|content_type|media_type|medientyp"),
    (Kind.FILE_NAME, r"file_?name|datei_?name|original_name|file_?ext"),
    (Kind.SECRET, r"_tokens?_"),  # before PASSWORD: `reset_password_token`
    (Kind.PASSWORD, r"passw|pass_?crypt|pass_?wd|_pwd|_pw_|kennwort|pass_?phrase|crypt_hash"),
    (Kind.SECRET, rf"""
        secret|token|api_?key|private_?key|access_?key|auth_?key|credential|totp|_otp|two_factor|2fa|_mfa|recovery_?code|
        backup_?codes?|reset_?code|activation|session_?(id|key|data)|cookie|csrf|_nonce|salt_|_pin_|_tan_|geheim|schluessel|webhook|
        signing|verification_?code|invite_?code|einladungs_?code|_encrypted_|_sid_|p256dh|(access|door|security|login|invitation|
        voucher|gift|unlock|auth)_?code|challenge|code_verifier|licen[cs]e_?(key|number|no_|nr)|lizenz_?(nr|nummer|key)|
        ^_(?!(\w*_)?({_NAMING})_?keys?_$)\w+_keys?_$
    """),
    (Kind.EMAIL, r"e_?mail|_mail_|mail_?(address|adress)|mailbox|_bcc_|_cc_"),
    (Kind.IBAN, r"iban"),
    (Kind.CARD, r"card_?(number|no|num)|credit_?card|kredit_?karte|karten_?nummer|_pan_|_cvv|_cvc"),
    (Kind.BANK, r"""
        _bic_|swift|_bank_|bank_?(account|name|code|verbindung|daten)|konto_?(nr|nummer)|account_?(number|no)_|blz|bankleit|sepa|
        mandat
    """),
    (Kind.NATIONAL_ID, r"""
        _ssn_|_svn|sv_?nr|sv_?nummer|sozialvers|social_?sec|insurance_?(no|num)|versicherungs_?(nr|nummer)|national_?id|tax_?(id|no|
        num)|steuer_?(id|nr|nummer|ident)|_tin_|_uid_?nr|vat_?(id|no|num)|_ust_?id|_ust_?(nr|num)|ahv|_ein_|_npi_|passport|reisepass|
        ausweis|identity_?card|id_?card|driv\w*_?licen|fuehrerschein|matrikel|schueler_?(nr|nummer|kennzahl)|student_?(no|num)|
        personal_?(nr|nummer)|(employee|member|patient|person|customer_card|policy|insured|business)_?(no_|num)|mitglieds_?(nr|num)|
        kunden_?karte|_bpk_|kennzeichen|license_?plate|sokrates|e_card|krankenkasse
    """),
    (Kind.BIRTH_DATE, r"""
        birth_?(date|day|year)|date_?of_?birth|_dob_|_born|geburts_?(datum|tag|jahr)|_geb_?dat|_geb_|geboren|of_birth|death|sterbe|
        verstorben
    """),
    (Kind.TRAIT, r"""
        geburts_?ort|birth_?place|place_?of_?birth|nationalit|staatsang|citizen|staatsbuerger|marital|familienstand|famil_?stand|
        civil_?status|_age_|_alter_|salary|gehalt|income|einkommen|_lohn_|_wage|absence|abwesen|_leave_(type|reason|kind)|urlaub|
        hire_?date|_hired|eintritts?_?dat|austritts?_?dat|profession|beruf|occupation|job_?title|interests_|_?study_?(subject|level|
        branch)|affiliation|mother_?tongue|muttersprache|erstsprache|native_?lang|hobb|weight_?kg|_gewicht_|body_?height|
        koerpergroesse|_bonit|credit_?score|_noten?_|_grade_|zeugnis|zensur|beurteilung
    """),
    (Kind.SPECIAL, _SPECIAL),
    (Kind.GENDER, r"gender|geschlecht|_sex_|salutation|anrede|pronoun"),
    (Kind.USERNAME, r"""
        user_?name|benutzer_?name|nutzer_?name|log_?in_?name|_login_$|anmelde_?name|nick_?name|screen_?name|spitzname|_handle_|
        kuerzel|initials|twitter|instagram|facebook|linked_?in|telegram|skype|discord|_xing_|_icq_|_msn_|jabber|_xmpp|matrix_user|
        _acct_|pseudonym|_jid_|github|whats_?app|_ldap|user_?principal|account_?name
    """),
    (Kind.FIRST_NAME, r"""
        vor_?namen?_|first_?names?_|given_?names?_|fore_?name|ruf_?name|middle_?name|_f_?name_|zweitname
    """),
    (Kind.LAST_NAME, r"""
        nach_?name|last_?name|family_?name|familien_?name|sur_?name|zu_?name|maiden|geburts_?name|_l_?name_|second_?name
    """),
    (Kind.COMPANY, r"company|(?<!con)firma|firmen_?name|employer|arbeitgeber|organi[sz]ation_?name|betrieb"),
    (Kind.FULL_NAME, rf"""
        full_?name|real_?name|(contact|_cp|ship_?to|bill_?to|berater|betreuer)_?name|_(user|witness|zeuge|contact|kontakt|attn|
        care_of|customer|kunde|patient|employee|student|teacher|guest)_$|ship_?to_?contact|destroy_witness|display_?name|
        anzeige_?name|voller_?name|ansprechpartner|kontoinhaber|card_?holder|account_?holder|(_|^)({_PERSON})\w*_name|_\w+(ed|en|
        read)_by_|_read_by_|unterzeichn|_reporter_|bearbeiter|ersteller|verfasser|sachbearbeiter|emergency_?contact|notfall_?kontakt|
        klassenvorstand|_absender_|_empfaenger_|authors?_$|_autor_|_owner_|[a-z]{{3}}(ed|en)by_
    """),
    (Kind.PHONE, r"""
        phone|telefon|_tele?_|_tel|mobile?_|mobil_?(nr|num|tel)|handy|_fax|hotline|_msisdn|rufnummer|durchwahl|fax_|_sms_|call_?er_?id
    """),
    (Kind.DEVICE, r"""
        user_?agent|browser|device|serial_?(no_|num)|seriennummer|geraet|_imei|_mac_|mac_?addr|push_?id|advertis\w*_id
    """),
    (Kind.IP, r"_ips?_|ip_?addr|ip_?adress|remote_?(addr|ip|host)|client_?(addr|ip)|_ipv?[46]_|host_?ip"),
    (Kind.LOCATION, r"""
        _lat_|_lng_|_lon_|latitude|longitude|breitengrad|laengengrad|geo_?(loc|point|hash|m)|coordinat|koordinat|_gps
    """),
    (Kind.STREET, r"""
        stre?et|strasse|_str_|haus_?n(r|um)|house_?n(o|um)|addr(ess)?_?(line|zeile)?_?[1-4]_|_addr_|po_?box|postfach|_adr_|_gasse|
        _stiege|_tuer_?(nr|nummer)?_
    """),
    (Kind.POSTCODE, r"post_?code|postal|postleit|_plz|zip_?code|_zip_"),
    (Kind.CITY, r"""
        city_|_city|_stadt_|wohn_?ort|_ort_|ortschaft|_town_|municipal|gemeinde|village|residence|_bezirk_|_district_|_suburb
    """),
    (Kind.ADDRESS, r"address|adresse|anschrift"),
    (Kind.FOREIGN, r"""
        extern\w*_(u?id|identifier)_|third_party\w*_id_|(provider|profile|source|subscription|message|webauthn|chat|meeting|calendar|
        recurring_event|stripe|paypal|facebook|google|twitter|instagram|apple|slack|reference)\w*_id_|_uid_|ical_?uid|cal_uid|
        identifier_$|in_reply_to_$|_tracking_(number_|code_|no_)?$|message_id_md5|auth_?data
    """),
    (Kind.CHECKSUM, r"checksum|pruefsumme|_sha_?\d+|_md5|_digest_|_etag_|_crc|file_?hash|content_?hash"),
    (Kind.URL, r"""
        _ur[il]_|_ur[il]s_|\w+url_|_web_|_permalink_$|actor_id|_ap_id_|website|webseite|home_?page|_link_|_links_|_href_|referr?er
    """),
    (Kind.ATTACHMENT, r"""
        photo|foto|_avatar_|^_icon_$|_logo_|logo_$|_banner_|_picture|_image|_bild_|_portrait|attachment_?(data|content|bytes)|
        anhang_?(daten|inhalt)|file_?(data|content|bytes)|datei_?(inhalt|daten)|_blob|_binary|thumbnail|unterschrift|_scan_|
        document_?(data|content)
    """),
    (Kind.SIZE, r"""
        (file|content|datei|attachment)_?(size|groesse|length)|size_?(in_?)?bytes|_bytes_|byte_?(size|count)|_(size|groesse)_
    """),
)  # fmt: skip
NAME_RULES = tuple((kind, words(text)) for kind, text in _RULES)
TEXT_RULE = words(_WRITTEN)

# Tables whose rows staging never needs, or whose rows belong to the installation itself.
DROPPED = words(r"""
    session|sitzung|(access|refresh|reset|auth|api|oauth|remember|device|csrf|verification|invitation|push)_?tokens?_|_tokens_|
    password_?resets?|mail_?queue|sms_?queue|outbox|^_(\w*_)?(failed|queued|delayed|background)_jobs_$|^_jobs_$|job_?queue|
    webhook_?(deliver|call|event)|_cache_?(entries)?_$|login_?(attempt|failure)|api_?keys?_|push_?subscription|one_?time_?password
""")
EXCLUDED = words(r"""
    import_export_audit|schema_?migrations?|flyway_schema|alembic_version|migrations?_history|django_migrations|^_((data|db|
    django|package|schema|background|goose|knex|sequelize|typeorm|prisma|doctrine)\w*_)?migrations_$|ar_internal_metadata|
    databasechangelog
""")

# Words that are personal in some tables only.
ADDRESS_PARTS = re.compile(r"city|_stadt_|_ort_|zip|postal|post_?code|_plz|street|strasse|_addr|address_?[12]")
OTHER_ADDRESS_PARTS = words(r"""
    _(state|state_name|region|province|county|bundesland|kanton|line_?[1-4]|plus_?four|extended_?\w*address|location)_
""")
HEADERS = re.compile(r"^_(from|to|reply_to|sender|recipients?|an|von)_$")
HISTORY = re.compile(r"histor|verlauf|audit|_versions?_|revision|_logs?_|_changes?_")
VALUES = words(r"""
    ^_((old|new|previous)_)?values?_((from|to|old|new|before|after)_)?$|^_(object_)?changes_$|^_(before|after|object)_$
""")
SECRETS = re.compile(r"_variables?_|credential|secret|passw|_preferences_|_keys?_$|plugin_settings?_")
STORED_SECRET = re.compile(r"^_(setting_|encrypted_)?(value|hash|data)_$")
CARDS = re.compile(r"card|karte")
SPLIT_CARD = re.compile(r"_(month|year|monat|jahr)_|digits|last_?(four|4)|issue_?n|expir")
ORGANISATIONS = words(r"""
    (organi[sz]ation|compan(y|ie)|firm|firmen|employer|arbeitgeber|vendor|supplier|lieferant|employer_data)(s|en)?_$
""")
THEIR_NAME = re.compile(r"^_(name|title|bezeichnung)_$")
UNIT_OF_PEOPLE = re.compile(r"department|abteilung|org_?unit|organi[sz]ational_?unit|institution\w*name")
IN_PEOPLE = re.compile(r"^_(\w{1,2}_)?(position|title|titel|rank|degree|greeting|graduation)_$")
