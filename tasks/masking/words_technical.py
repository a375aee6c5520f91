"""Words in the names of columns that describe the record instead of a person, in English and German.

They apply if no word of `tasks.masking.words_personal` matches and no sampled value looks personal. Both read a *spelling*: the
name in lower case, umlauts written out, its words joined and surrounded by `_` (`geburtsDatum` → `_geburts_datum_`).
"""

import re


def words(text: str) -> re.Pattern[str]:
    """Return the pattern of a list of words that is written over several lines."""
    return re.compile("".join(text.split()))


TECHNICAL_TEXT = words(r"""
    status|_state_|_types?_|_typ_|_kind_|_art_|_categor|_kategorie|type_$|flags_$|ident_$|interval_$|locale|_lang|sprache|
    currency|waehrung|time_?zone|zeitzone|format|colou?r|farbe|\w_icon|_slug|_roles?_|rolle|_level|stufe|_unit|einheit|version|
    _method|priorit|encoding|extension|_country|_land_|_room_|_raum_|_sort|_order_|_direction|_scope|_channel|_queue|_event_type|
    _action_|_aktion_|algorithm|_mode_|modus|(?<!public)_keys?_|code_$|(table|type|prop|property|res|resource|group|class|module|
    role)_?name_|_style_|_directive_|disposition|language_$|_form_?name|plugin_?name|service_?name|event_?name|setting_?name|
    option_?name|_weekday|wochentag|semester|schuljahr|school_?year|_provider_|_integration_|auth_?service|environment|umgebung|
    _host_|_server_|platform|architect|_revision_|software|_vendor_|manufacturer|hersteller_|_driver_|_engine_|protocol|
    protokoll_|_schema_|_refs?_|_sha_|_algo_|_branch_|_tags?_|regex|pattern|_selector_|_match_|callback|_stage_|_iso\w*_|_abbr_|
    _symbol_|_theme_|font|layout|_placeholder_|_display_on_|_presentation_|_domains?_|week_?start|_curr_|_sku_|barcode|_ean_|
    _lot_|batch_no|[^_]number_|_number_$|_accno_|_availability|difficulty|_policy_$|_template_$|_group_by_|_generator_|_context_|
    modifier|dosage|make_$|_model_$|_permissions?_|_scheme_|_events_$|hash_?algo|ship_?via|permalink|_target_$|_var_$|_area_$
""")
TECHNICAL_NUMBER = words(r"""
    count|anzahl|amount|betrag|total|summe|sum_|price|preis|_tax|steuersatz|_rate_|position|_sort|_order_|_rank|index|version|
    _size|groesse|_bytes|length|laenge|_year_|jahr|month|monat|_week|woche|_day_|hour|stunde|minute|seconds|duration|dauer|
    quantity|menge|priorit|_level|stufe|percent|prozent|_port_|attempt|retr|limit|_max|_min|capacity|kapazit|_status|_type|
    _flags?_|_width|_height_|_id[a-z]|_idx_|_views?_|visib|sichtbar|_availab|_locale_|_buffer|_offset|_format_|_layout_|
    _dashboard_|_timestep|_scheme_|_protocol_|_origin_|_policy_|_role_|_terms_|_time_|[^_]time_|(create|update|delete|edit|
    modif)\w*_?at_|_at_$|_update_$|failed|_prio_|_lft_|_rgh?t_|export_$|_by_$|invited|_to_$|_class_|_klass_|_unit_|invitations|
    _page|_seq|_number_of|_room_|_raum_|factor|faktor|_ratio|_no_of|_lock_version|discount|rabatt|balance|saldo
""")
# A number with such a word is a measure, a limit or a state, whatever it measures.
MEASURE = words(r"""
    _(max|min|num|count|counts|counter|limit|limits|size|length|lifetime|interval|period|timeout|attempts?|retries|retry|seconds|
    minutes|hours|days|weeks|months|ms|bytes|level|version|status|state|type|mode|order|position|rank|score|threshold|total|
    percentage|percent|ratio|access|access_level|index|iid|number_of|per)_|_count|anzahl
""")
LIMIT = re.compile(r"_(max|min|limit|quota|allowed)")
# A number that identifies somebody in another service.
FOREIGN_ID = words(r"""
    extern|remote|foreign|third_party|provider|facebook|twitter|telegram|google|github|discord|slack|apple|ldap|sso|oauth|_uid_
""")
WATCHED = words(r"""
    last_?(log_?in|seen|active|activity|access|sign_?in|visit)|letzte[rs]?_?(anmeldung|login|zugriff)
""")
TECHNICAL_TIME = words(r"""
    _at_$|_on_$|created|updated|modified|deleted|changed|erstellt|geaendert|geloescht|expire|ablauf|valid|gueltig|start|beginn?_|
    _ends?_|_ende_|_due|faellig|_sent|gesendet|publish|veroeff|_read|gelesen|_since_|_seit_|_until_|_bis_|_von_|_from_|_to_|
    received|empfangen|period|zeitraum|scheduled|geplant|timestamp|zeitstempel|invoice_?date|rechnungsdatum|issued|paid|bezahlt|
    finished|completed|during|slot|duration|dauer|_last_|date_$|datum_|_day_|_tag_|expir|_until
""")


# The last word in the name of a table of terms, in the singular or plural. Its names and codes are terms of the application.
_TERM = r"""
    roles?|rollen?|class(es)?|klassen?|subjects?|f(a|ae)ch(er)?|rooms?|r(au|aeu)me?|countr(y|ies)|l(a|ae)nd(er)?|states?|
    categor(y|ies)|kategorien?|permissions?|berechtigung(en)?|tags?|stat(us|uses)|types?|typen?|arten|languages?|sprachen?|
    locales?|currenc(y|ies)|waehrung(en)?|grades?|stufen?|schuljahre?|departments?|abteilung(en)?|settings?|configs?|
    configurations?|defaults|einstellung(en)?|products?|produkte?|parts|artikel|features?|flags?|plans?|plaene|tiers?|templates?|
    vorlagen?|presets?|emojis?|reactions?|bots?|polic(y|ies)|rules?|regeln?|macros?|labels?|folders?|ordner|apps?|applications?|
    portals?|assistants?|runners?|branches|builds?|jobs|stages?|services?|dienste?|integrations?|gateways?|activators?|
    promotions?|coupons?|options?|values|properties|eigenschaften|preferences|zones?|zonen|lookups?|objects?|packages?|overviews?|
    views?|reports?|goals?|ziele?|sites?|plugins?|modules?|module|drugs?|widgets?|fields?|felder|attributes?|attribute|merkmale?|
    definitions?|workflows?|pipelines?|queues?|priorit(y|ies)|prioritaeten|units?|einheiten|methods?|methoden?|taxons?|taxonom(y|
    ies)|taxes|tax|steuern?|charts?|warehouses?|lager|codes?|skills?|menus?|themes?|badges?|senders|changes|prototypes|variants?|
    varianten|categories|assets|attachments_kinds|facilit(y|ies)
"""
TERMS = words(rf"(_|^|[a-z])({_TERM})_\d*_?$")
# Tables whose descriptions are terms of the application, too: a catalogue that customers read.
CATALOGUE = words(r"""
    (_|[a-z])(products?|produkte?|taxons?|zones?|methods?|charts?|warehouses?|lager|departments?|abteilung(en)?|codes?|currenc(y|
    ies)|waehrung(en)?|units?|einheiten|emojis?|priorit(y|ies)|countr(y|ies)|laender|parts|artikel|tax|taxes|business)_$
""")
# Columns with the name of a term.
TERM_NAME = words(r"""
    _((name|names|label|titel|title|bezeichnung|code|short|kurz\w*|alias|abbr|presentation|display_name|tagline|unit|(short|page|
    welcome)_(title|tagline|name)|(bot|iso|file_service)_name|kind|group))_
""")
# Columns of a catalogue that describe an entry.
TERM_TEXT = re.compile(r"descri|beschreib|keywords?_|_caption_|_alt_|_hint_|_help_")
# A text that refers to a record: a key of this database, or an identifier of somebody in another service.
POINTER = re.compile(r"_ids?_$|[a-z]{3}ids?_$|_uuid_$")
# Tables in which numbers and dates alone reveal much about a person.
SENSITIVE = words(r"""
    _leaves?_|absence|abwesen|vacation|urlaub|krank|_sick|travel|reise|_trips?_|patient|medical|medizin|diagnos|treatment|
    behandlung|therap|prescri|rezept|vaccin|impf|allerg|_labs?_|vitals?_|payroll|salar|gehalt|gehaelter|_wages?_|lohn|exam|
    pruefung|grades_|noten_|zeugnis|religio|crimin|pregnan|encounter|health|gesundheit|surveys?_resp|dna_|genom
""")
SENSITIVE_ROW = re.compile(r"patient|diagnos|_encounter_|_symptoms?_|krankheit")
# Dates and numbers in such a table that describe the record.
OF_THE_RECORD = words(r"""
    created|updated|modified|deleted|changed|erstellt|geaendert|geloescht|approved|published|_sent_|_process|_bill|notif|stmt|
    _status_|_state_|position|version|_count|_order_|_closed|_active_|activity|authori[sz]ed|ids?_$|_fk_|_level|enabled
""")
STAFF = re.compile(r"employee|mitarbeiter|angestellt|staff|personal_|personnel|beschaeftigt")
EMPLOYED = re.compile(r"start|begin|_end|enddate|ende_|entry|exit|eintritt|austritt|hire|join|leave|leaving|terminat")
WORD = re.compile(r"[a-z]{3}")
# These override technical words: `health_status`, `mobilenumber`, `patient_code`, `number_of_children`.
INTIMATE = words(r"""
    birth|spoken|mother|_sex_|gender|ethnic|religio|marital|civil_|famil|health|citizen|immigra|_hiv|vaccin|criminal|employment|
    blood|disab|nationalit|children|kinder_|dependents|bonus|shoe|steuerklasse|_gdb_|skills|fiscal|tax_code|(mobile|cell|contact|
    emergency|home|work|_id|identity|national|routing|loyalty|nhs|pension|visa|permit|plate|members?|membership|insurance|
    customer|client|person|patient|employee|student|dialed|user|driver|teacher|record|computer)_?(number|code|name|policy|host|
    domain)_$|^_host_?name_$|sender_domain
""")
INTIMATE_OF_PEOPLE = re.compile(r"_(height|weight|extension)_")
