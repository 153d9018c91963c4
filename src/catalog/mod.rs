//! Saved listings and records: reading and writing them.
