"""Where WordPress and its common plugins keep people: the reviewed list. What is absent on a site is passed over.

Plugins: WooCommerce (both storages of orders), Gravity Forms, WPForms, Ninja Forms, Formidable, Fluent Forms, Flamingo and CFDB7
(Contact Form 7), MailPoet, The Newsletter Plugin, FluentCRM, Wordfence, Solid Security, WP Activity Log, Simple History, WP Mail
SMTP, WP Mail Logging, AutomateWoo, cart recovery.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.masking.words_personal import Kind
from tasks.neutralisation.masks import Mask

E, T, B, IP = Mask.EMAIL, Mask.TEXT, Mask.BLANK, Mask.IP
NAMED = {"first_name": Mask.FIRST_NAME, "last_name": Mask.LAST_NAME}
PLACES = {
    "company": Mask.COMPANY,
    "address_1": Mask.STREET,
    "address_2": B,
    "city": Mask.CITY,
    "postcode": Mask.POSTCODE,
    "phone": Mask.PHONE,
    "email": E,
}


@dataclass(frozen=True)
class Rule:
    """How columns of one table are masked. `owner` is the column whose number the fakes depend on, within `group`.

    `where` limits the rows; `{posts}` in it is the table of posts, `{privileged}` the condition that an account may do more than
    customers. `user` is the column with the number of an account: rows of staff are kept.
    """

    table: str
    columns: Mapping[str, Mask]
    owner: str
    group: str
    where: str = ""
    user: str = ""


def listed(names: list[str]) -> str:
    """Return constants of this file as a list in SQL."""
    return ", ".join(f"'{name}'" for name in names)


def _meta(
    table: str, owner: str, group: str, keys: Mapping[str, Mask], *, user: str = "", within: str = ""
) -> list[Rule]:
    """Return a rule for each kind of mask in a table of keys and values."""
    rules = []
    for mask in dict.fromkeys(keys.values()):
        where = f"meta_key IN ({listed([key for key, each in keys.items() if each is mask])}){within}"
        rules.append(Rule(table, {"meta_value": mask}, owner, group, where, user))
    return rules


def _prefixed(*prefixes: str) -> dict[str, Mask]:
    return {f"{prefix}{key}": mask for prefix in prefixes for key, mask in {**NAMED, **PLACES}.items()}


USER_KEYS = {
    **NAMED,
    "nickname": Mask.LOGIN,
    "description": T,
    "last_name_kana": B,
    **_prefixed("billing_", "shipping_"),
}
USER_KEYS |= {
    key: B for key in ("_stripe_customer_id", "_stripe_source_id", "_order_count_ip", "billing_vat", "vat_number")
}
USER_KEYS |= {"last_login_ip": IP, "signup_ip": IP, "facebook": B, "twitter": B, "instagram": B, "linkedin": B}
ORDER_KEYS = _prefixed("_billing_", "_shipping_")
ORDER_KEYS |= {
    "_customer_ip_address": IP,
    "_customer_user_agent": T,
    "_billing_address_index": T,
    "_shipping_address_index": T,
}
ORDER_KEYS |= {key: B for key in ("_stripe_customer_id", "_stripe_source_id", "_stripe_intent_id", "_payment_method_token",
                                  "_ppcp_paypal_payer_email", "Payer PayPal address", "Payer first name", "Payer last name",
                                  "_paypal_subscription_id", "_transaction_id", "_vat_number", "_billing_vat")}  # fmt: skip
FORM_POST_KEYS = {
    "_from_email": E,
    "_email": E,
    "_from_name": Mask.FULL_NAME,
    "_name": Mask.FULL_NAME,
    "_from": T,
    "_meta": B,
}
FORM_POSTS = "('nf_sub', 'flamingo_inbound', 'flamingo_contact', 'flamingo_outbound')"
ORDER_POSTS = "('shop_order', 'shop_order_refund', 'shop_subscription')"

RULES: tuple[Rule, ...] = (
    Rule("users", {"user_login": Mask.LOGIN, "user_nicename": Mask.LOGIN, "user_email": E, "user_url": B, 
                   "user_activation_key": B, "display_name": Mask.FULL_NAME}, "ID", "user", user="ID"),
    Rule("users", {"user_pass": Mask.PASSWORD}, "ID", "user", where="NOT {privileged}", user="ID"),
    Rule("users", {"user_pass": Mask.LOCKED}, "ID", "user", where="{privileged}", user="ID"),
    *_meta("usermeta", "user_id", "user", USER_KEYS, user="user_id"),
    Rule("comments", {"comment_author": Mask.FULL_NAME, "comment_author_email": E, "comment_author_url": B, "comment_author_IP": IP,
                      "comment_agent": T}, "comment_ID", "comment"),
    Rule("comments", {"comment_content": T}, "comment_ID", "comment", where="comment_type IN ('order_note', 'review_private')"),
    Rule("signups", {"user_login": Mask.LOGIN, "user_email": E, "activation_key": B, "meta": B}, "signup_id", "signup"),
    Rule("registration_log", {"email": E, "IP": IP}, "ID", "registration"),
    # WooCommerce: orders as posts, and in tables of their own.
    Rule("posts", {"post_excerpt": T}, "ID", "order", where=f"post_type IN {ORDER_POSTS}"),
    *_meta("postmeta", "post_id", "order", ORDER_KEYS),
    Rule("wc_orders", {"billing_email": E, "ip_address": IP, "user_agent": T, "customer_note": T, "transaction_id": B},
         "id", "order"),
    Rule("wc_order_addresses", {**NAMED, **PLACES}, "order_id", "order"),
    *_meta("wc_orders_meta", "order_id", "order", ORDER_KEYS),
    Rule("wc_customer_lookup", {"username": Mask.LOGIN, **NAMED, "email": E, "postcode": Mask.POSTCODE, "city": Mask.CITY},
         "customer_id", "customer"),
    Rule("wc_download_log", {"user_ip_address": IP}, "download_log_id", "download"),
    Rule("woocommerce_downloadable_product_permissions", {"user_email": E}, "permission_id", "permission"),
    Rule("actionscheduler_actions", {"args": T, "extended_args": T}, "action_id", "action"),
    # Entries of forms.
    Rule("gf_entry", {"ip": IP, "user_agent": T, "source_url": B, "transaction_id": B}, "id", "form"),
    Rule("gf_entry_meta", {"meta_value": T}, "entry_id", "form"),
    Rule("gf_entry_notes", {"user_name": Mask.LOGIN, "value": T}, "entry_id", "form"),
    Rule("wpforms_entries", {"fields": B, "ip_address": IP, "user_agent": T}, "entry_id", "form"),
    Rule("wpforms_entry_fields", {"value": T}, "entry_id", "form"),
    Rule("frm_items", {"ip": IP, "description": T, "name": T}, "id", "form"),
    Rule("frm_item_metas", {"meta_value": T}, "item_id", "form"),
    Rule("fluentform_submissions", {"response": B, "ip": IP, "browser": T, "source_url": B}, "id", "form"),
    Rule("fluentform_entry_details", {"field_value": T}, "submission_id", "form"),
    Rule("db7_forms", {"form_value": B}, "form_id", "form"),
    Rule("posts", {"post_content": T, "post_title": T}, "ID", "form", where=f"post_type IN {FORM_POSTS}"),
    *_meta("postmeta", "post_id", "form", FORM_POST_KEYS),
    Rule("postmeta", {"meta_value": T}, "post_id", "form",
         where="(meta_key LIKE '\\_field\\_%' AND post_id IN (SELECT ID FROM {posts} "
               "WHERE post_type IN ('nf_sub', 'flamingo_inbound')))"),
    # Newsletters.
    Rule("newsletter", {"email": E, "name": Mask.FIRST_NAME, "surname": Mask.LAST_NAME, "ip": IP, "last_ip": IP, "token": B},
         "id", "reader"),
    Rule("mailpoet_subscribers", {"email": E, **NAMED, "subscribed_ip": IP, "confirmed_ip": IP, "unsubscribe_token": B},
         "id", "reader"),
    Rule("mailpoet_subscriber_custom_field", {"value": T}, "subscriber_id", "reader"),
    Rule("fc_subscribers", {"email": E, **NAMED, "phone": Mask.PHONE, "address_line_1": Mask.STREET, "address_line_2": B,
                            "city": Mask.CITY, "postal_code": Mask.POSTCODE, "ip": IP, "full_name": Mask.FULL_NAME}, "id", "reader"),
    Rule("fc_subscriber_meta", {"value": T}, "subscriber_id", "reader"),
)  # fmt: skip

# Rows that nobody needs on staging: sessions, tokens that can be charged, logs of people, mails that wait. Table → condition.
EMPTIED: tuple[tuple[str, str], ...] = (
    ("usermeta", "meta_key IN ('session_tokens', '_application_passwords', '_woocommerce_persistent_cart_1', "
                 "'community-events-location', 'wfls-last-login')"),
    *((table, "") for table in (
        "woocommerce_sessions", "woocommerce_payment_tokens", "woocommerce_payment_tokenmeta", "woocommerce_api_keys",
        "gf_draft_submissions", "newsletter_sent", "mailpoet_scheduled_task_subscribers", "mailpoet_user_agents",
        "wfhits", "wflogins", "wfls_2fa_secrets", "wfls_settings_log", "wfsecurityevents", "itsec_logs", "itsec_lockouts",
        "itsec_temp", "wsal_occurrences", "wsal_metadata", "simple_history", "simple_history_contexts", "email_log",
        "wpml_mails", "wpmailsmtp_emails_log", "wpmailsmtp_debug_events", "fsmpt_email_logs", "cartflows_ca_cart_abandonment",
        "automatewoo_guests", "automatewoo_guest_meta", "automatewoo_logs", "automatewoo_log_meta", "automatewoo_queue",
        "automatewoo_queue_meta", "aiowps_login_activity", "aiowps_audit_log", "limit_login", "loginizer_logs",
    )),
)  # fmt: skip

# Tables of WordPress and WooCommerce that no rule masks, because they hold no people (or only numbers that refer to them).
HARMLESS = frozenset(
    (
        "blogs", "blogmeta", "site", "sitemeta", "blog_versions", "commentmeta", "links", "options", "postmeta",
        "posts", "term_relationships", "term_taxonomy", "termmeta", "terms", "wc_admin_note_actions",
        "wc_admin_notes", "wc_category_lookup", "wc_order_coupon_lookup", "wc_order_operational_data",
        "wc_order_product_lookup", "wc_order_stats", "wc_order_tax_lookup", "wc_product_attributes_lookup",
        "wc_product_download_directories", "wc_product_meta_lookup", "wc_rate_limits", "wc_reserved_stock",
        "wc_tax_rate_classes", "wc_webhooks", "woocommerce_attribute_taxonomies", "woocommerce_log",
        "woocommerce_order_items", "woocommerce_order_itemmeta", "woocommerce_shipping_zone_locations",
        "woocommerce_shipping_zone_methods", "woocommerce_shipping_zones", "woocommerce_tax_rate_locations",
        "woocommerce_tax_rates", "actionscheduler_claims", "actionscheduler_groups", "actionscheduler_logs",
    )
)  # fmt: skip
# Kinds by which a column or key that no rule knows looks like a person's: the words of the PostgreSQL half, the certain ones only.
TELLING_KINDS = frozenset(
    {Kind.EMAIL, Kind.FIRST_NAME, Kind.LAST_NAME, Kind.STREET, Kind.PHONE, Kind.IBAN, Kind.CARD, Kind.BIRTH_DATE, Kind.NATIONAL_ID,
     Kind.IP, Kind.BANK, Kind.SPECIAL}
)  # fmt: skip
META_TABLES = ("usermeta", "wc_orders_meta", "postmeta", "commentmeta")
# Keys of WordPress and plugins whose names look personal and whose values are not.
HARMLESS_KEYS = frozenset(
    (
        "wp_user_level", "wp_capabilities", "locale", "rich_editing", "use_ssl", "show_admin_bar_front",
        "admin_color", "comment_shortcuts", "syntax_highlighting", "dismissed_wp_pointers", "show_welcome_panel",
        "is_geo_valid", "_wp_attached_file", "_order_key",
    )
)  # fmt: skip
