"""Who asks: keys, their roles and scopes, and how much each may ask for."""
