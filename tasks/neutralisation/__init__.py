"""The steps after a copy: what keeps a staging site from reaching or revealing production's people. Knows no Prefect."""
