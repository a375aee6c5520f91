<?php
add_theme_support('automatic-feed-links');
add_action('wp_enqueue_scripts', function () {
    wp_enqueue_style('classic', get_stylesheet_uri(), [], wp_get_theme()->get('Version'));
});
