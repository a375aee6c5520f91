<?php
// What `wp option update` does: php option.php ROOT NAME VALUE.
$_SERVER['HTTP_HOST'] = 'localhost';
require $argv[1] . '/wp-load.php';
update_option($argv[2], $argv[3]);
