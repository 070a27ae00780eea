"""Requests, answers, digests and signatures: shared by every human gate. Pure: no store, no clock."""
