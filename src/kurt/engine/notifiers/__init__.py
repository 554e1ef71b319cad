"""Notifications: telling people and other programs that a run has ended, or waits for somebody."""
