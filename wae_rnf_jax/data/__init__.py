"""Text: vocabularies, corpora and batches. Imports of the package only its pure functions."""
