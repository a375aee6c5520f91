"""One file per version of the tables, applied in order. A version that was released is never edited."""
