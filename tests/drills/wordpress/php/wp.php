<?php
// The commands of WP-CLI that the steps after a copy send, on a real WordPress, where WP-CLI is not installed:
// php wp.php ROOT ARGUMENT... `db query` is run by MariaDB's client, as WP-CLI does; `search-replace` is not here.
[, $root] = $argv;
$words = $options = [];
foreach (array_slice($argv, 2) as $argument) {
    if (str_starts_with($argument, '--')) {
        [$name, $value] = explode('=', substr($argument, 2), 2) + [1 => true];
        $options[$name] = $value;
    } else {
        $words[] = $argument;
    }
}
$_SERVER['HTTP_HOST'] = 'localhost';
define('WP_CLI', true);
if (isset($options['skip-plugins'])) {
    $wp_filter = ['pre_option_active_plugins' => [[['accepted_args' => 1, 'function' => fn() => []]]]];
}
require $root . '/wp-load.php';

function refuse($message) {
    fwrite(STDERR, "Error: $message\n");
    exit(1);
}

switch (implode(' ', array_slice($words, 0, 2))) {
    case 'config get':
        echo $table_prefix, "\n";
        break;
    case 'core is-installed':
        exit(is_blog_installed() && (is_multisite() || !isset($options['network'])) ? 0 : 1);
    case 'option get':
        $value = get_option($words[2], null);
        $value === null ? refuse("Could not get '{$words[2]}' option. Does it exist?") : print("$value\n");
        break;
    case 'option update':
        update_option($words[2], $words[3]);
        break;
    case 'option pluck':
        $value = get_option($words[2], []);
        isset($value[$words[3]]) ? print($value[$words[3]] . "\n") : exit(1);
        break;
    case 'option patch':
        $value = get_option($words[3], null);
        is_array($value) ?: refuse('No such option');
        isset($value[$words[4]]) === ($words[2] === 'update') ?: refuse('The key exists, or does not');
        update_option($words[3], [$words[4] => $words[5]] + $value);
        break;
    case 'cron event':
        if ($words[2] === 'list') {
            $hooks = [];
            foreach (_get_cron_array() as $events) {
                foreach (array_keys($events) as $hook) {
                    $hooks[] = ['hook' => $hook];
                }
            }
            echo json_encode($hooks), "\n";
        } else {
            wp_unschedule_hook($words[3]) ?: refuse('Invalid cron event');
        }
        break;
    case 'cache flush':
        wp_cache_flush();
        break;
    case 'transient delete':
        $wpdb->query("DELETE FROM {$wpdb->options} WHERE option_name LIKE '\_transient\_%'");
        break;
    case 'rewrite flush':
        flush_rewrite_rules();
        break;
    default:
        $words[0] === 'eval' ? eval($words[1]) : refuse(implode(' ', $words) . ' is not a registered wp command');
}
