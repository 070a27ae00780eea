"""Audit: PII, sealing, retention, proofs and reports. Pure policy."""
