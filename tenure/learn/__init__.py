"""Learn: repeated requests become tested, approved, canaried capabilities. Pure policy."""
