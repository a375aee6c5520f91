<?php
/* Plugin Name: Shop
 * Version: 1.2 */
add_action('rest_api_init', function () {
    register_rest_route('wc/v3', '/orders', ['methods' => 'GET', 'permission_callback' => '__return_false', 'callback' => '__return_null']);
});
add_action('wp_enqueue_scripts', function () {
    wp_enqueue_script('shop', plugins_url('shop.js', __FILE__), [], '1.2');
});
