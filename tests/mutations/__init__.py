"""Mutants: each check of trust and approvals, disabled in a copy of the repository; some test must fail for each."""
