//! The sample server inside the binary: a task and focus-timer server with every category among its tools.
