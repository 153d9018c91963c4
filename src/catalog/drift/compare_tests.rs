//! Tests of the comparison of servers.
