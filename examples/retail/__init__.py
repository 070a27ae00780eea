"""A retail back office as an agent: 16 tools over users, orders and products, in the shapes of tau-bench's retail data."""
