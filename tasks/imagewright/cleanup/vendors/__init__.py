"""How each kind of registry deletes: a door says what it can do, and never does more than was approved."""
