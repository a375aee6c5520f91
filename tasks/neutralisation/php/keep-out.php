<?php
/*
 * Plugin Name: Understudy: keep out
 * Description: Keeps visitors and cron away until the steps after a copy are done.
 */
if (!defined("ABSPATH")) { exit; }
(function () {
    $facts = json_decode(base64_decode("__UNDERSTUDY_FACTS__"), true);
    if (defined("PWP_NAME") && PWP_NAME !== $facts["install"]) { return; }  // copied to another install of the host
    if (!defined('UNDERSTUDY_KEEPS_OUT')) { define('UNDERSTUDY_KEEPS_OUT', true); }
    add_filter('pre_get_ready_cron_jobs', '__return_empty_array');
    if (defined('WP_CLI') && WP_CLI) { return; }
    if (!headers_sent()) {
        header('HTTP/1.1 503 Service Unavailable', true, 503);
        header('Retry-After: 600');
        header('Cache-Control: no-store');
        header('X-Robots-Tag: noindex, nofollow');
        header('X-Understudy: kept-out');
        header('Content-Type: text/html; charset=utf-8');
    }
    echo '<!doctype html><title>Not ready</title><h1>This staging site is being prepared</h1>';
    exit;
})();
