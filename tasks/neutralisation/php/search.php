<?php
/*
 * Plugin Name: Understudy: search
 * Description: Keeps search engines from indexing this staging site.
 */
if (!defined("ABSPATH")) { exit; }
(function () {
    $facts = json_decode(base64_decode("__UNDERSTUDY_FACTS__"), true);
    if (defined("PWP_NAME") && PWP_NAME !== $facts["install"]) { return; }  // copied to another install of the host
    if (!defined('UNDERSTUDY_HIDES')) { define('UNDERSTUDY_HIDES', true); }
    add_filter('pre_option_blog_public', function () { return '0'; }, PHP_INT_MAX);
    if (!headers_sent()) { header('X-Robots-Tag: noindex, nofollow'); }
    add_filter('wp_headers', function ($headers) {
        return ['X-Robots-Tag' => 'noindex, nofollow'] + $headers;
    }, PHP_INT_MAX);
})();
