//! The gateway between a client and a server: nothing passes unjudged.
