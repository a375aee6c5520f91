"""WP-CLI on an install, through the host's SSH gateway. Knows no Prefect; reads only, until a step needs to write."""
