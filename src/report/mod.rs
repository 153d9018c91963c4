//! Tables, JSON, NDJSON, Markdown, SARIF.
