"""How far a registration may be wrong: maps, and the registrations that they compare."""
