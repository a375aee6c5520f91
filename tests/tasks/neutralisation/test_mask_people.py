"""MASK_PEOPLE: who is kept, what is named, and that a statement fits into a command."""

from dataclasses import replace
from typing import Any

import bcrypt
import pytest

from deployments.sandbox.host import site_tables
from deployments.sandbox.host.host import Host
from deployments.sandbox.host.php_values import serialize
from tasks.estate.errors import CommandRefused
from tasks.estate.recipes import Recipe, Staff
from tasks.neutralisation import mask_people
from tasks.neutralisation.context import Context
from tasks.neutralisation.people_tables import EMPTIED, HARMLESS, RULES
from tasks.neutralisation.statements import Database
from tasks.wpcli.commands import LONGEST


def users(estate: Host) -> list[list[Any]]:
    """Return the accounts of staging."""
    rows: list[list[Any]] = estate.named("schulstage")["database"]["rows"]["wp_users"]
    return rows


def test_staff_keep_their_accounts_and_lose_their_sessions(connection: Any, context: Context, estate: Host) -> None:
    """The administrator logs in as on production; everybody else has another name and the known password."""
    admin = users(estate)[0]
    assert mask_people.apply(connection, context).is_safe
    assert users(estate)[0] == admin
    assert {row[2] for row in users(estate)[1:]} == {context.password_hash}
    meta = estate.named("schulstage")["database"]["rows"]["wp_usermeta"]
    assert "session_tokens" not in [row[2] for row in meta]


@pytest.mark.parametrize(
    ("staff", "kept"),
    [
        (Staff(roles=()), []),
        (Staff(roles=("customer",)), [2, 3, 4]),
        (Staff(roles=(), domains=("customer.example",)), [2, 3, 4]),
        (Staff(roles=(), domains=("mer.example",)), []),
        (Staff(roles=(), domains=("schulfest.example",)), [1]),
    ],
)
def test_staff_are_kept_by_role_or_domain(
    staff: Staff, kept: list[int], connection: Any, context: Context, estate: Host
) -> None:
    """A role and a domain are compared as wholes: `mer.example` is not the end of `customer.example`."""
    before = {row[0]: row for row in users(estate)}
    mask_people.apply(connection, replace(context, recipe=Recipe(staff=staff)))
    assert [row[0] for row in users(estate) if row == before[row[0]]] == kept


def test_accounts_that_may_do_more_are_locked(connection: Any, context: Context, estate: Host) -> None:
    """The known password is known to many: an editor who is not staff by the rule cannot log in with it."""
    install = estate.named("schulstage")
    for row in install["database"]["rows"]["wp_usermeta"]:
        if row[1] == 3 and row[2] == "wp_capabilities":
            row[3] = serialize({"customer": True, "editor": True})
    estate.store.put("installs", install)
    assert mask_people.apply(connection, context).is_safe
    assert [row[2] for row in users(estate)[1:]] == [context.password_hash, "!", context.password_hash]


def test_a_rule_that_keeps_everybody_is_refused(
    connection: Any, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role of customers as staff would keep a whole shop."""
    monkeypatch.setattr(mask_people, "MOST_STAFF", 2)
    with pytest.raises(CommandRefused, match="keeps more than 2 accounts"):
        mask_people.apply(connection, replace(context, recipe=Recipe(staff=Staff(roles=("customer",)))))


def test_equal_people_stay_equal_and_another_key_makes_others(connection: Any, context: Context, estate: Host) -> None:
    """An account and its orders have the same address; two runs cannot be joined."""
    mask_people.apply(connection, context)
    rows = estate.named("schulstage")["database"]["rows"]
    first = [row[4] for row in rows["wp_users"][1:]]
    assert first == [row[1] for row in rows["wp_wc_orders"]]
    assert len({*first}) == 3
    names = {row[2]: row[3] for row in rows["wp_usermeta"] if row[1] == 2}
    assert rows["wp_users"][1][7] == f"{names['first_name']} {names['last_name']}"


def test_keys_that_the_recipe_names_are_emptied(connection: Any, context: Context, estate: Host) -> None:
    """A shop's own field is masked like the known ones."""
    install = estate.named("schulstage")
    install["database"]["rows"]["wp_usermeta"] += [[900, 2, "shoe_size", "42"], [901, 1, "shoe_size", "43"]]
    estate.store.put("installs", install)
    mask_people.apply(connection, replace(context, recipe=Recipe(personal_keys=("shoe_size",))))
    rows = estate.named("schulstage")["database"]["rows"]["wp_usermeta"]
    assert [row[3] for row in rows if row[2] == "shoe_size"] == ["", "43"]  # the second one is staff's


def test_unknown_keys_that_look_personal_are_named(connection: Any, context: Context, estate: Host) -> None:
    """The name of the key is in the result, not its value; a key that a person reviewed is not."""
    install = estate.named("schulstage")
    install["database"]["rows"]["wp_usermeta"] += [[900, 2, "guardian_email", "planted@customer.example"]]
    estate.store.put("installs", install)
    done = mask_people.apply(connection, context)
    assert done.checked
    assert done.still_dangerous == "no rule knows wp_usermeta: guardian_email"
    reviewed = replace(context, recipe=Recipe(personal_keys=("guardian_email",)))
    assert mask_people.apply(connection, reviewed).is_safe


CORE_KEYS = [
    "nickname", "first_name", "last_name", "description", "rich_editing", "syntax_highlighting",
    "comment_shortcuts", "admin_color", "use_ssl", "show_admin_bar_front", "locale", "wp_capabilities",
    "wp_user_level", "dismissed_wp_pointers", "show_welcome_panel", "wp_dashboard_quick_press_last_post_id",
    "wp_user-settings", "wp_user-settings-time", "managenav-menuscolumnshidden", "metaboxhidden_nav-menus",
    "closedpostboxes_page", "last_update", "wc_last_active", "paying_customer", "_order_count", "_money_spent",
    "wp_woocommerce_product_import_mapping", "_edit_lock", "_edit_last", "_wp_page_template", "_thumbnail_id",
    "_wp_attached_file", "_wp_attachment_metadata", "_menu_item_url", "_menu_item_type", "_price", "_sku",
    "_stock_status", "_product_attributes", "_elementor_data", "_elementor_edit_mode", "_yoast_wpseo_title",
    "_yoast_wpseo_metadesc", "_wp_trash_meta_status", "total_sales", "_tax_status", "_order_key", "_order_total",
    "_payment_method", "_created_via", "_cart_hash", "_prices_include_tax", "_download_permissions_granted",
]  # fmt: skip


def test_common_keys_of_a_healthy_site_are_not_named(connection: Any, context: Context, estate: Host) -> None:
    """What every WordPress and every shop has makes no step unsafe."""
    install = estate.named("schulstage")
    for table in ("wp_usermeta", "wp_postmeta"):
        rows = [[900 + number, 1, key, "x"] for number, key in enumerate(CORE_KEYS)]
        install["database"]["rows"][table] = rows
    estate.store.put("installs", install)
    assert mask_people.unknown_places(Database(connection, "wp_"), context.recipe) == ()


def test_every_statement_fits_into_a_command(connection: Any, context: Context) -> None:
    """SSH carries one command line, whose arguments have a longest size; half of it is left for longer names."""
    mask_people.apply(connection, context)
    longest = max(len(each.values[0].encode()) for each in connection.commands if each.words == ("db", "query"))
    assert longest < LONGEST / 2


def test_no_table_is_in_two_lists() -> None:
    """A table that is emptied is not masked as well, and a harmless one is neither, except for the rows that a rule names."""
    emptied = {table for table, condition in EMPTIED if not condition}
    assert not emptied & {rule.table for rule in RULES}
    assert not emptied & HARMLESS
    assert {rule.table for rule in RULES if rule.table in HARMLESS} == {"posts", "postmeta"}


def test_the_hash_of_a_password_is_bcrypts() -> None:
    """PHP reads `$2y$`; the password is not in it."""
    made = mask_people.hashed_password("staging password")
    assert made.startswith("$2y$10$")
    assert bcrypt.checkpw(b"staging password", made.encode())


def test_the_emulated_shop_has_only_known_tables() -> None:
    """A table of the emulator that no rule knows would hide a gap."""
    known = {f"wp_{table}" for table in mask_people.KNOWN_TABLES}
    assert {*site_tables.SCHEMA} <= known
