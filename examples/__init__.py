"""Agents to read, run and copy: each file is one agent with its tools, and a script for the stand-in that answers without a key."""
