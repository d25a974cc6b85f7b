//! Replaces `relay` in a build that neither pushes nor pulls: only the shapes of its reports are left.

#[path = "report.rs"]
pub(crate) mod report;
