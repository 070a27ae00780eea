"""Channels: Slack, e-mail, SMS and HTTP as one conversation. Parsing and rendering; no I/O."""
