//! From a tool definition to a verdict with evidence, by rule files. Pure.
