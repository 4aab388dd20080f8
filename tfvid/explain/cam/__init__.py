"""Maps over the units of one layer: class activation mapping and its relatives."""
