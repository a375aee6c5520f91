<?php
/*
 * Plugin Name: Understudy: banner
 * Description: Shows on every page, and in wp-admin, that this is a staging site.
 */
if (!defined("ABSPATH")) { exit; }
(function () {
    $facts = json_decode(base64_decode("__UNDERSTUDY_FACTS__"), true);
    if (defined("PWP_NAME") && PWP_NAME !== $facts["install"]) { return; }  // copied to another install of the host
    $show = function () use ($facts) {
        printf('<div id="understudy-banner" role="status" style="position:fixed;bottom:0;left:0;right:0;z-index:99999;'
            . 'padding:6px 12px;background:#7a3e00;color:#fff;font:14px sans-serif;text-align:center">%s</div>',
            esc_html($facts['text']));
    };
    add_action('wp_footer', $show);
    add_action('login_footer', $show);
    add_action('admin_notices', function () use ($facts) {
        printf('<div class="notice notice-warning" id="understudy-notice"><p>%s</p></div>', esc_html($facts['text']));
    });
})();
