"""Ways to make the item table: vectors by co-occurrence (SimEmb), vectors by a knowledge graph (KGAT)."""
