"""Who is who: clusters over the face vectors."""
