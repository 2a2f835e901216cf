"""MongoDB for fields and ChromaDB for vectors, behind one Database."""
