"""Our side of Prefect: forms, notices, states, retries and the resources that every step shares."""
