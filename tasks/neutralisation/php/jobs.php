<?php
/*
 * Plugin Name: Understudy: jobs
 * Description: Keeps scheduled jobs that send e-mails or charge from being scheduled and run.
 */
if (!defined("ABSPATH")) { exit; }
(function () {
    $facts = json_decode(base64_decode("__UNDERSTUDY_FACTS__"), true);
    if (defined("PWP_NAME") && PWP_NAME !== $facts["install"]) { return; }  // copied to another install of the host
    if (!defined('UNDERSTUDY_PAUSES_JOBS')) { define('UNDERSTUDY_PAUSES_JOBS', true); }
    // Plugins schedule their jobs again when they are loaded, so removing a job once is not enough.
    add_filter('schedule_event', function ($event) use ($facts) {
        return is_object($event) && preg_match('/' . $facts['hooks'] . '/i', $event->hook) ? false : $event;
    }, PHP_INT_MAX);
    add_filter('action_scheduler_queue_runner_concurrent_batches', '__return_zero', PHP_INT_MAX);
})();
