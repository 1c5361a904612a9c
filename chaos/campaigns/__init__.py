"""Campaigns: many drills whose schedules are drawn, and what they find together."""
