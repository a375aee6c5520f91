<?php
// Publish one post: php publish.php ROOT TITLE.
$_SERVER['HTTP_HOST'] = 'localhost';
require $argv[1] . '/wp-load.php';
wp_insert_post(['post_title' => $argv[2], 'post_status' => 'publish', 'post_author' => 1, 'post_content' => 'News.']);
