"""Schedules: workflows that run by themselves."""
