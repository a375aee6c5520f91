"""The files whose breakages are planted, by group: whatever decides about permission, evidence and masking."""

GROUPS = {
    "gate": [
        *(f"tasks/signoff/{name}.py" for name in ("gate", "approval_recheck", "standing", "preauthorised", "sending")),
        *(f"tasks/signoff/{name}.py" for name in ("passkeys", "passkey_entries", "proof_use")),
        *(f"tasks/safeguards/{name}.py" for name in ("scheduled_run_conditions", "holds")),
        *(f"tasks/{name}.py" for name in ("locks", "copies", "restores", "loads")),
        "deployments/worker/execute.py",
    ],
    "sites": [
        *(f"tasks/surveys/{name}.py" for name in ("recheck", "arrival_evidence")),
        "tasks/websites/site_checks.py",
        "tasks/capi/client.py",
    ],
    "dumps": [
        *(
            f"tasks/dumps/{name}.py"
            for name in ("verify_load", "leak_search", "load", "load_plan", "masking_sql", "row_sources")
        ),
        *(f"tasks/dumps/{name}.py" for name in ("export_plan", "extract", "leak_search_proof", "load_privileges")),
        *(f"tasks/dumps/{name}.py" for name in ("triggers_and_constraints", "table_rules", "missing_on_staging")),
        "tasks/masking/policy.py",
    ],
}
