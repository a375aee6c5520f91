-- Tables as WooCommerce 8, Action Scheduler and two plugins create them, with planted people. Can be loaded again.
SET NAMES utf8mb4;
DELETE FROM wp_users WHERE ID > 1;
DELETE FROM wp_usermeta WHERE user_id > 1;
DELETE FROM wp_comments WHERE comment_ID > 1;
DROP TABLE IF EXISTS wp_wc_orders, wp_wc_order_addresses, wp_wc_orders_meta, wp_wc_customer_lookup, wp_wc_webhooks,
  wp_actionscheduler_actions, wp_woocommerce_sessions, wp_woocommerce_payment_tokens, wp_gf_entry_meta, wp_newsletter,
  wp_wfhits;
CREATE TABLE wp_wc_orders (id bigint unsigned PRIMARY KEY, status varchar(20), currency varchar(10), type varchar(20),
  customer_id bigint unsigned, billing_email varchar(320), date_created_gmt datetime, payment_method varchar(100),
  transaction_id varchar(100), ip_address varchar(100), user_agent text, customer_note text)
  COLLATE utf8mb4_unicode_520_ci;
CREATE TABLE wp_wc_order_addresses (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, order_id bigint unsigned NOT NULL,
  address_type varchar(20), first_name text, last_name text, company text, address_1 text, address_2 text, city text,
  state text, postcode text, country text, email varchar(320), phone varchar(100)) COLLATE utf8mb4_unicode_520_ci;
CREATE TABLE wp_wc_orders_meta (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, order_id bigint unsigned, meta_key varchar(255),
  meta_value text) COLLATE utf8mb4_unicode_520_ci;
CREATE TABLE wp_wc_customer_lookup (customer_id bigint unsigned AUTO_INCREMENT PRIMARY KEY, user_id bigint unsigned UNIQUE,
  username varchar(60) NOT NULL DEFAULT '', first_name varchar(255) NOT NULL, last_name varchar(255) NOT NULL,
  email varchar(100), date_last_active timestamp NULL, country char(2) NOT NULL DEFAULT '', postcode varchar(20) NOT NULL DEFAULT '',
  city varchar(100) NOT NULL DEFAULT '', state varchar(100) NOT NULL DEFAULT '') COLLATE utf8mb4_unicode_520_ci;
CREATE TABLE wp_wc_webhooks (webhook_id bigint unsigned AUTO_INCREMENT PRIMARY KEY, status varchar(200), name text,
  user_id bigint unsigned, delivery_url text, secret text, topic varchar(200)) COLLATE utf8mb4_unicode_520_ci;
CREATE TABLE wp_actionscheduler_actions (action_id bigint unsigned AUTO_INCREMENT PRIMARY KEY, hook varchar(191), status varchar(20),
  scheduled_date_gmt datetime DEFAULT '0000-00-00 00:00:00', args varchar(191), extended_args varchar(8000)) COLLATE utf8mb4_unicode_520_ci;
CREATE TABLE wp_woocommerce_sessions (session_id bigint unsigned AUTO_INCREMENT PRIMARY KEY, session_key char(32) UNIQUE,
  session_value longtext, session_expiry bigint unsigned) COLLATE utf8mb4_unicode_520_ci;
CREATE TABLE wp_woocommerce_payment_tokens (token_id bigint unsigned AUTO_INCREMENT PRIMARY KEY, gateway_id varchar(200), token text,
  user_id bigint unsigned, type varchar(200), is_default tinyint(1)) COLLATE utf8mb4_unicode_520_ci;
CREATE TABLE wp_gf_entry_meta (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, form_id mediumint, entry_id bigint unsigned,
  meta_key varchar(255), meta_value longtext) COLLATE utf8mb4_unicode_520_ci;
CREATE TABLE wp_newsletter (id int AUTO_INCREMENT PRIMARY KEY, email varchar(100) UNIQUE, name varchar(100), surname varchar(100),
  ip varchar(50), token varchar(50)) CHARACTER SET latin1;  -- an old plugin: another character set
CREATE TABLE wp_wfhits (id int AUTO_INCREMENT PRIMARY KEY, IP binary(16), URL text, UA text) CHARACTER SET utf8mb3;
INSERT INTO wp_users (ID, user_login, user_pass, user_nicename, user_email, user_url, user_registered, display_name) VALUES
  (7001, 'planted.greta', '$P$Bold', 'planted-greta', 'planted.greta@customer.example', 'http://planted.example', '2020-01-01', 'Greta Planted'),
  (7002, 'planted.o''hara', '$P$Bold', 'planted-ohara', 'Planted.OHara@customer.example', '', '0000-00-00 00:00:00', 'Örs O''Planted');
INSERT INTO wp_usermeta (user_id, meta_key, meta_value) VALUES
  (7001, 'wp_capabilities', 'a:1:{s:8:"customer";b:1;}'), (7002, 'wp_capabilities', 'a:1:{s:6:"editor";b:1;}'),
  (7001, 'first_name', 'Planted'), (7001, 'last_name', 'Planted'), (7001, 'nickname', 'planted'), (7001, 'billing_phone', '+43 660 5550101'),
  (7001, 'billing_email', 'planted.greta@customer.example'), (7002, 'billing_address_1', 'Plantedgasse 7'),
  (7001, 'session_tokens', 'a:1:{s:2:"ip";s:7:"planted";}'), (7001, 'description', NULL), (7002, 'billing_company', '');
INSERT INTO wp_comments (comment_ID, comment_post_ID, comment_author, comment_author_email, comment_author_url, comment_author_IP,
  comment_agent, comment_content, comment_type, comment_date, comment_date_gmt) VALUES
  (7001, 1, 'Greta Planted', 'planted.greta@customer.example', '', '203.0.113.77', 'Planted Browser', 'Nice!', 'comment', NOW(), NOW()),
  (7002, 1, 'WooCommerce', '', '', '', '', 'Called Greta Planted', 'order_note', NOW(), NOW());
DELETE FROM wp_posts WHERE ID = 7001;
INSERT INTO wp_posts (ID, post_author, post_date, post_date_gmt, post_content, post_title, post_excerpt, post_status, post_name,
  to_ping, pinged, post_modified, post_modified_gmt, post_content_filtered, guid, post_type) VALUES
  (7001, 1, NOW(), NOW(), '', 'Order', 'Ring at Planted', 'wc-completed', 'order', '', '', NOW(), NOW(), '', 'http://x/?p=7001', 'shop_order');
DELETE FROM wp_postmeta WHERE post_id = 7001;
INSERT INTO wp_postmeta (post_id, meta_key, meta_value) VALUES
  (7001, '_billing_email', 'planted.greta@customer.example'), (7001, '_billing_last_name', 'Planted'),
  (7001, '_billing_address_index', 'Greta Planted Plantedgasse 1'), (7001, '_order_total', '12.00');
INSERT INTO wp_wc_orders VALUES (7001, 'wc-completed', 'EUR', 'shop_order', 7001, 'planted.greta@customer.example', NOW(), 'stripe',
  'planted-txn', '203.0.113.77', 'Planted Browser', 'For Planted');
INSERT INTO wp_wc_order_addresses (order_id, address_type, first_name, last_name, company, address_1, city, postcode, country, email, phone)
  VALUES (7001, 'billing', 'Greta', 'Planted', 'Planted & Co', 'Plantedgasse 1', 'Plantedorf', '3100', 'AT',
  'planted.greta@customer.example', '+43 660 5550101'), (7001, 'shipping', 'Greta', 'Planted', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO wp_wc_orders_meta (order_id, meta_key, meta_value) VALUES (7001, '_billing_address_index', 'planted'),
  (7001, '_stripe_customer_id', 'planted');
INSERT INTO wp_wc_customer_lookup (user_id, username, first_name, last_name, email) VALUES
  (7001, 'planted.greta', 'Greta', 'Planted', 'planted.greta@customer.example');
INSERT INTO wp_wc_webhooks (status, name, delivery_url) VALUES ('active', 'stock', 'https://erp.example/');
INSERT INTO wp_actionscheduler_actions (hook, status, args) VALUES
  ('woocommerce_scheduled_subscription_payment', 'pending', '["planted.greta@customer.example"]'), ('x', 'complete', '[]');
INSERT INTO wp_woocommerce_sessions (session_key, session_value) VALUES ('1', 'planted.greta@customer.example');
INSERT INTO wp_woocommerce_payment_tokens (gateway_id, token, user_id) VALUES ('stripe', 'tok_planted', 7001);
INSERT INTO wp_gf_entry_meta (form_id, entry_id, meta_key, meta_value) VALUES
  (1, 7001, '3', 'to office@nowhere.example from planted.greta@customer.example');
INSERT INTO wp_newsletter (email, name, surname, ip) VALUES ('planted.greta@customer.example', 'Greta', 'Plantedö', '203.0.113.77');
INSERT INTO wp_wfhits (URL, UA) VALUES ('/planted', 'Planted Browser');
