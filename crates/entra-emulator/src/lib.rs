//! A local Microsoft Entra tenant.

mod caller;
mod graph;
mod tenant;
