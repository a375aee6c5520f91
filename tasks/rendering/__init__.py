"""The only place that formats text for people: approval forms, reports and notices."""
