"""Packets and sessions between peers, as spec/teleport.md has them. Numbers in parentheses are sections of that page."""
