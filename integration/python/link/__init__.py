"""Clients and servers of a link gateway, as spec/link.md has them. Numbers in parentheses are sections of that page."""
