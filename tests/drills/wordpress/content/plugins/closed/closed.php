<?php
/* Plugin Name: REST closed to visitors */
add_filter('rest_authentication_errors', function ($result) {
    return is_user_logged_in() ? $result : new WP_Error('rest_not_logged_in', 'You are not currently logged in.', ['status' => 401]);
});
