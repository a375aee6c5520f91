<?php
// What the host's web server does before WordPress: site password, static files, and everything else to index.php.
$root = $_SERVER['DOCUMENT_ROOT'];
$password = @file_get_contents($root . '/site-password');
if ($password !== false) {
    $given = ($_SERVER['PHP_AUTH_USER'] ?? '') . ':' . ($_SERVER['PHP_AUTH_PW'] ?? '');
    if ($given !== trim($password)) {
        header('WWW-Authenticate: Basic realm="Protected"', true, 401);
        echo 'Authorization required';
        return true;
    }
}
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path !== '/' && is_file($root . $path)) {
    return false;
}
$_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = '/index.php';
$_SERVER['SCRIPT_FILENAME'] = $root . '/index.php';
chdir($root);
require $root . '/index.php';
