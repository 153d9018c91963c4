//! policy.json: parse, check, judge, explain, generate. Pure.
