<?php
// Install one site: php install.php ROOT JSON, with url, title, permalinks, theme, plugins, posts.
$said = json_decode($argv[2], true);
$_SERVER['HTTP_HOST'] = parse_url($said['url'], PHP_URL_HOST);
$_SERVER['REQUEST_URI'] = '/';
define('WP_INSTALLING', true);
require $argv[1] . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install($said['title'], 'admin', 'admin@' . $_SERVER['HTTP_HOST'], true, '', 'a password of the drill');
foreach (['home', 'siteurl'] as $option) {
    update_option($option, $said['url']);
}
update_option('permalink_structure', $said['permalinks'] === 'pretty' ? '/%postname%/' : '');
update_option('blog_public', $said['public'] ? 1 : 0);
switch_theme($said['theme']);
foreach ($said['plugins'] as $plugin) {
    update_option('active_plugins', array_merge(get_option('active_plugins', []), ["$plugin/$plugin.php"]));
}
for ($number = 1; $number <= $said['posts']; $number++) {
    wp_insert_post(['post_title' => "Post $number", 'post_status' => 'publish', 'post_author' => 1,
        'post_content' => "Read <a href=\"{$said['url']}/?p=1\">the first one</a>, number $number."]);
}
update_option('drill_widget', ['link' => $said['url'] . '/?from=widget', 'text' => 'ümlaut']);  // a serialized value
flush_rewrite_rules();
