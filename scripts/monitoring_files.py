"""Writes the generated files of ``replication/monitoring``: the alert rules and the dashboard.

``python scripts/monitoring_files.py``; unit tests hold both fresh.
"""

from __future__ import annotations

from replication.monitoring.dashboard_build import build_dashboard
from replication.monitoring.dashboard_file import DASHBOARD_FILE
from replication.monitoring.rules_file import RULES_FILE, render_rules

if __name__ == "__main__":
    RULES_FILE.write_text(render_rules(), encoding="utf-8")
    DASHBOARD_FILE.write_text(build_dashboard(), encoding="utf-8")
    print(f"wrote {RULES_FILE.name} and {DASHBOARD_FILE.name}")
