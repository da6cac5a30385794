//! entra-graph
