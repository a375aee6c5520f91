"""The database tables in which a shop keeps its orders."""

# Every table in which WooCommerce keeps orders: posts and postmeta without High-Performance Order Storage, wc_order… with it,
# woocommerce_order_item… always. Named by their end: prefixes differ, and the sites of a network add a number.
ORDERS = (
    "posts", "postmeta", "wc_orders", "wc_orders_meta", "wc_order_addresses", "wc_order_operational_data", "wc_order_stats",
    "wc_order_product_lookup", "wc_order_tax_lookup", "wc_order_coupon_lookup", "wc_customer_lookup",
    "woocommerce_order_items", "woocommerce_order_itemmeta", "woocommerce_downloadable_product_permissions",
)  # fmt: skip
ENDS = tuple(f"_{name}" for name in ORDERS)


def is_order_table(table: str) -> bool:
    """Return whether a table of this name holds orders, whatever its prefix and case."""
    return f"_{table.casefold()}".endswith(ENDS)
