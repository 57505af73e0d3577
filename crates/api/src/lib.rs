//! HTTP, worker loop, configuration and wiring: the binary tickets.
