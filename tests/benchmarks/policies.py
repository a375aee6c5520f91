"""The rules that are measured: the six default anonymizers, keyed makers wherever there is text, and the shop's nine columns."""

from tasks.masking.policy import Policy, parse_policy

_KEPT = """
  roles: keep
  settings: keep
  metrics: keep
"""

# What costs least: no hash but for the names, which are looked up by the row's id.
SIX = parse_policy(
    """
app: bench
schema_version: 1
locale: de_DE
tables:
  users:
    id: keep
    email: email
    username: {maker: email, domain: login.local, anonymizer: email}
    first_name: {maker: first_name, group: person, by: id}
    last_name: {maker: last_name, group: person, by: id}
    title: keep
    phone: {maker: blank, anonymizer: contact}
    mobile: {maker: blank, anonymizer: contact}
    street: {maker: blank, anonymizer: contact}
    postcode: {maker: blank, anonymizer: contact}
    city: {maker: blank, anonymizer: contact}
    country: keep
    birth_date: {maker: birth_date, mode: year}
    password_hash: {maker: password, prefix: $2y$}
    iban: "null"
    role: keep
    language: keep
    notes: scrub
    timezone: keep
    newsletter: keep
    login_count: keep
    last_login_at: keep
    created_at: keep
    updated_at: keep
    deleted_at: keep
  orders:
    id: keep
    user_id: keep
    ordered_at: keep
    amount: keep
    currency: keep
    state: keep
    contact_phone: {maker: blank, anonymizer: contact}
  messages:
    id: keep
    sender_id: keep
    subject: scrub
    body: scrub
    sent_at: keep
    read: keep
  parent_letters:
    id: keep
    author_id: keep
    body: scrub
    created_at: keep
  attachments:
    id: keep
    message_id: keep
    file_name: keep
    mime_type: keep
    content: {maker: placeholder, mime_column: mime_type}
  events:
    id: keep
    user_id: keep
    payload:
      maker: jsonb
      paths:
        $.contact.email: {maker: email, by: id, domain: json.local}
        $.contact.phone: blank
"""
    + _KEPT,
    where="six",
)

# What costs most: a keyed hash for every text that may identify a person.
KEYED = parse_policy(
    """
app: bench
schema_version: 1
locale: de_DE
tables:
  users:
    id: keep
    email: {maker: email, form: hash}
    username: {maker: hash, chars: 32}
    first_name: {maker: first_name, group: person, by: id}
    last_name: {maker: last_name, group: person, by: id}
    title: {maker: hash, chars: 8}
    phone: phone
    mobile: phone
    street: street
    postcode: postcode
    city: city
    country: keep
    birth_date: {maker: birth_date, mode: shift, by: id}
    password_hash: {maker: password, prefix: $2y$}
    iban: {maker: iban, country: AT}
    role: keep
    language: keep
    notes: {maker: token}
    timezone: keep
    newsletter: keep
    login_count: keep
    last_login_at: {maker: date_shift, days: 30, by: id}
    created_at: keep
    updated_at: keep
    deleted_at: keep
  orders:
    id: keep
    user_id: keep
    ordered_at: keep
    amount: keep
    currency: keep
    state: keep
    contact_phone: phone
  messages:
    id: keep
    sender_id: keep
    subject: {maker: hash, chars: 40}
    body: {maker: scrub, keep_length: true}
    sent_at: keep
    read: keep
  parent_letters:
    id: keep
    author_id: keep
    body: {maker: scrub, keep_length: true}
    created_at: keep
  attachments:
    id: keep
    message_id: keep
    file_name: {maker: hash, chars: 16}
    mime_type: keep
    content: {maker: placeholder, mime_column: mime_type}
  events:
    id: keep
    user_id: keep
    payload:
      maker: jsonb
      paths:
        $.contact.email: {maker: email, form: hash}
        $.contact.phone: phone
"""
    + _KEPT,
    where="keyed",
)

# As equal as tools allow: every peer can hash a column to text; so do we, keyed.
SHOP = parse_policy(
    """
app: bench
schema_version: 1
locale: de_DE
tables:
  customers:
    id: keep
    email: {maker: email, form: hash}
    first_name: {maker: hash, chars: 32}
    last_name: {maker: hash, chars: 32}
    phone: {maker: hash, chars: 32}
    street: {maker: hash, chars: 32}
    city: {maker: hash, chars: 32}
    birth_date: keep
    segment: keep
    created_at: keep
    note: keep
  orders:
    id: keep
    customer_id: keep
    ordered_at: keep
    amount: keep
    state: keep
    recipient: {maker: hash, chars: 32}
    address: {maker: hash, chars: 32}
    phone: {maker: hash, chars: 32}
""",
    where="shop",
)
SHOP_MASKED = {
    "customers": ("email", "first_name", "last_name", "phone", "street", "city"),
    "orders": ("recipient", "address", "phone"),
}

POLICIES: dict[str, Policy] = {"six": SIX, "keyed": KEYED, "shop": SHOP}
