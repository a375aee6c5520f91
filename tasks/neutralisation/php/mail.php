<?php
/*
 * Plugin Name: Understudy: mail
 * Description: Stops, logs or redirects every e-mail of this staging site.
 */
if (!defined("ABSPATH")) { exit; }
(function () {
    $facts = json_decode(base64_decode("__UNDERSTUDY_FACTS__"), true);
    if (defined("PWP_NAME") && PWP_NAME !== $facts["install"]) { return; }  // copied to another install of the host
    if (!defined('UNDERSTUDY_STOPS_MAIL')) { define('UNDERSTUDY_STOPS_MAIL', $facts['mode']); }
    $redirecting = false;
    add_filter('pre_wp_mail', function ($result, $mail) use ($facts, &$redirecting) {
        if ($redirecting) { return null; }
        if ($facts['mode'] === 'log') {
            $log = get_option('understudy_mail_log');
            $log = array_slice(is_array($log) ? $log : [], -99);
            $log[] = ['at' => gmdate('c'), 'to' => implode(', ', (array) $mail['to']), 'subject' => $mail['subject']];
            update_option('understudy_mail_log', $log, false);
        }
        if ($facts['mode'] !== 'redirect') { return false; }
        $redirecting = true;
        $sent = wp_mail($facts['address'], '[staging] ' . $mail['subject'], $mail['message'],
            'Content-Type: ' . (stripos(implode("\n", (array) $mail['headers']), 'text/html') ? 'text/html' : 'text/plain'),
            $mail['attachments']);
        $redirecting = false;
        return $sent;
    }, PHP_INT_MAX, 2);
    // A plugin that replaces wp_mail does not ask the filter, but many still use PHPMailer.
    add_action('phpmailer_init', function ($mailer) use ($facts) {
        $mailer->clearAllRecipients();
        if ($facts['mode'] === 'redirect') { $mailer->addAddress($facts['address']); }
    }, PHP_INT_MAX);
})();
